/**
 * The updates of which snapshots a table has, and of what names them. Pure.
 *
 * @module
 */

import { MAIN, MetadataError, snapshotById } from "./metadata.ts";
import type { Update, Working } from "./updates.ts";

/** Adds a snapshot. */
export function addSnapshot(working: Working, { snapshot }: Update<"add-snapshot">): Working {
  const { metadata } = working;
  const { "snapshot-id": id, "sequence-number": sequence, "timestamp-ms": at } = snapshot;
  if (snapshotById(metadata, id) !== undefined) {
    throw new MetadataError(`The table has a snapshot ${id} already`);
  }
  if (sequence <= metadata["last-sequence-number"]) {
    throw new MetadataError(
      `A snapshot's sequence number must be over ${
        metadata["last-sequence-number"]
      }, not ${sequence}`,
    );
  }
  return {
    ...working,
    added: [...working.added ?? [], id],
    metadata: {
      ...metadata,
      "last-sequence-number": sequence,
      "last-updated-ms": Math.max(metadata["last-updated-ms"], at),
      snapshots: [...metadata.snapshots ?? [], snapshot],
    },
  };
}

/** Lets a branch or tag name a snapshot. */
export function setSnapshotRef(
  working: Working,
  { action: _, "ref-name": name, ...ref }: Update<"set-snapshot-ref">,
): Working {
  const { metadata } = working;
  const { "snapshot-id": id, type } = ref;
  const snapshot = snapshotById(metadata, id);
  if (snapshot === undefined) {
    throw new MetadataError(`The table has no snapshot ${id}`);
  }
  if (name === MAIN && type !== "branch") throw new MetadataError("main must be a branch");
  const refs = { ...metadata.refs, [name]: ref };
  if (name !== MAIN) return { ...working, metadata: { ...metadata, refs } };
  const log = (metadata["snapshot-log"] ?? []).slice(0, working.logged);
  // Some readers look for a moment in the log, some among the snapshots: both find the same.
  const at = working.added?.includes(id)
    ? Math.max(snapshot["timestamp-ms"], log.at(-1)?.["timestamp-ms"] ?? 0)
    : metadata["last-updated-ms"];
  const entry = { "snapshot-id": id, "timestamp-ms": at };
  return {
    ...working,
    metadata: {
      ...metadata,
      refs,
      "current-snapshot-id": id,
      "snapshot-log": log.at(-1)?.["snapshot-id"] === id ? log : [...log, entry],
    },
  };
}

/** Removes branches and tags. */
export function removeRefs(working: Working, names: readonly string[]): Working {
  const { metadata } = working;
  const { refs = {}, "current-snapshot-id": _, ...rest } = metadata;
  const kept = Object.fromEntries(Object.entries(refs).filter(([name]) => !names.includes(name)));
  if (!names.includes(MAIN)) return { ...working, metadata: { ...metadata, refs: kept } };
  return { ...working, logged: 0, metadata: { ...rest, refs: kept, "snapshot-log": [] } };
}

/** Removes snapshots, and what names them. */
export function removeSnapshots(working: Working, update: Update<"remove-snapshots">): Working {
  const { metadata } = working;
  const gone = new Set(update["snapshot-ids"]);
  const log = metadata["snapshot-log"] ?? [];
  // Were an entry missing between two, the earlier would seem to have been current for longer.
  const from = log.findLastIndex((entry) => gone.has(entry["snapshot-id"])) + 1;
  const dangling = Object.entries(metadata.refs ?? {})
    .filter(([, ref]) => gone.has(ref["snapshot-id"])).map(([name]) => name);
  return removeRefs({
    ...working,
    logged: Math.max(0, working.logged - from),
    metadata: {
      ...metadata,
      snapshots: (metadata.snapshots ?? []).filter((s) => !gone.has(s["snapshot-id"])),
      "snapshot-log": log.slice(from),
    },
  }, dangling);
}
