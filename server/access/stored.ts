/**
 * Denials that admins make while the server runs, kept in its records: one for each name, and a
 * version that changes with them, by which other processes notice.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { RecordBatch, RecordStore } from "../store/records.ts";
import { ACCESS_KINDS, type AccessChange, type AccessKind } from "./model.ts";

const PREFIX = "access/";
const VERSION_KEY = "access-version";

/** Records that are read at once. */
const PAGE = 500;
/** Records that are written at once; a batch has room for an answer and an entry of the audit log. */
const BATCH = 80;

/** A denial. */
export interface Denial {
  /** The gateway. */
  readonly gatewayId: string;
  /** What is denied. */
  readonly kind: AccessKind;
  /** Its name. */
  readonly name: string;
}

/** A user's name may be longer than a key. */
function keyOf({ gatewayId, kind, name }: Denial): string {
  return `${PREFIX}${gatewayId}/${kind}/${createHash("sha256").update(name).digest("hex")}`;
}

/** Another text after each change. */
export async function versionOf(records: RecordStore): Promise<string> {
  return (await records.get(VERSION_KEY))?.version ?? "";
}

/** Reads all denials. */
export async function readDenials(records: RecordStore): Promise<readonly Denial[]> {
  const denials: Denial[] = [];
  let from = PREFIX;
  for (;;) {
    const page = await records.list({ from, to: `${PREFIX}\u{10ffff}`, limit: PAGE });
    for (const { key, value } of page) {
      const [, gatewayId = "", kind] = key.split("/");
      const known = ACCESS_KINDS.find((each) => each === kind);
      const { name }: { readonly name?: unknown } = JSON.parse(value);
      if (known !== undefined && typeof name === "string") {
        denials.push({ gatewayId, kind: known, name });
      }
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return denials;
    from = `${last.key}\0`;
  }
}

/**
 * What a change denies and no longer denies, as batches to be written in their order. Each may be
 * written again; the last one makes it whole.
 */
export function batchesOf(
  gatewayId: string,
  { deny, undeny }: AccessChange,
): readonly RecordBatch[] {
  const edits = ACCESS_KINDS.flatMap((kind) => [
    ...deny[kind].map((name) => ({ denial: { gatewayId, kind, name }, isDenied: true })),
    ...undeny[kind].map((name) => ({ denial: { gatewayId, kind, name }, isDenied: false })),
  ]);
  const batches: RecordBatch[] = [];
  for (let at = 0; at < edits.length; at += BATCH) {
    const some = edits.slice(at, at + BATCH);
    batches.push({
      set: [
        ...some.filter(({ isDenied }) => isDenied).map(({ denial }) => ({
          key: keyOf(denial),
          value: JSON.stringify({ name: denial.name }),
        })),
        { key: VERSION_KEY, value: crypto.randomUUID() },
      ],
      remove: some.filter(({ isDenied }) => !isDenied).map(({ denial }) => keyOf(denial)),
    });
  }
  return batches;
}
