/**
 * Entries of a log as a replay takes them: read by the schema of their time, merged into the rows
 * that they touch, and held to what the log says became of them then.
 *
 * @module
 */

import { type Delta, LakeSyncError, parseHlc, ZERO_HLC } from "@lakesync/core";
import type { LogEntry, RowKey, Store } from "../store/store.ts";
import type { Base } from "./base.ts";
import type { Catalog } from "./catalog.ts";
import type { Committer } from "./committer.ts";
import { withLookups } from "./group.ts";
import type { JudgedDelta } from "./judge.ts";
import { BucketLedger } from "./ledger.ts";
import { logOutcomes, logVersion, type Outcome, readLogPayload, writeLogPayload } from "./log.ts";
import { Lookups } from "./lookups.ts";
import type { RuleBook } from "./rule_book.ts";
import { keyText, WorkingSet } from "./working.ts";
import { WriteGuard } from "./write_guard.ts";

/** An entry of the log, read. */
export interface ReplayedEntry {
  /** The entry. */
  readonly entry: LogEntry;
  /** The schema version whose names it uses. */
  readonly version: number;
  /** Its changes. */
  readonly deltas: readonly JudgedDelta[];
  /** Of those who update rows that are not inserted yet: their claims, where rules judge them. */
  readonly claims: string | undefined;
}

/** Lets pass what was let pass, by the claims that the log has. */
class ReplayGuard extends WriteGuard {
  override readonly judges: boolean;

  constructor(claims: string | undefined, lookups: Lookups) {
    super({ sub: "", admin: false, claims: JSON.parse(claims ?? "{}") }, lookups);
    this.judges = claims !== undefined;
  }

  override refusal(): undefined {
    return undefined;
  }
}

/** Why a log cannot be replayed. */
export function inexact(seq: number, why: string): LakeSyncError {
  return new LakeSyncError(
    "VALIDATION_ERROR",
    `The log cannot be replayed exactly at commit ${seq}: ${why}`,
  );
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Reads an entry by the schema of its time. */
export function readEntry(catalog: Catalog, entry: LogEntry): ReplayedEntry {
  const version = logVersion(entry.payload);
  const names = catalog.logged(version);
  if (names === undefined) {
    throw inexact(entry.seq, `its schema version ${version} is not known`);
  }
  const read = readLogPayload(entry.payload);
  const deltas = read.map(({ delta }): JudgedDelta => {
    const compiled = names.compile(delta.shape);
    const { hlc } = delta;
    if (typeof compiled === "string") throw inexact(entry.seq, compiled);
    if (hlc === undefined) throw inexact(entry.seq, "a change has no stamp");
    return { delta: { ...delta, hlc }, compiled };
  });
  const claims = read.find(({ outcome }) => outcome.waits !== undefined)?.outcome.waits;
  return { entry, version, deltas, claims };
}

/** The greatest stamp of a head and of entries, as decimal text. */
export function greatest(hlc: string, replayed: readonly ReplayedEntry[]): string {
  let last = parseHlc(hlc) ?? ZERO_HLC;
  for (const { deltas } of replayed) {
    for (const { delta } of deltas) if (delta.hlc > last) last = delta.hlc;
  }
  return last.toString();
}

/** The rows, buckets and look-ups of one commit. */
export class ReplayCommit {
  readonly ledger: BucketLedger;
  readonly lookups: Lookups;
  readonly working: WorkingSet;

  constructor(
    readonly committer: Committer,
    readonly catalog: Catalog,
    readonly book: RuleBook,
    before: Base,
  ) {
    this.ledger = new BucketLedger(book, before.nextBucket);
    this.lookups = new Lookups(book, catalog, committer.lookups);
    const { counts, horizonSeq } = before;
    this.working = new WorkingSet(this.ledger, this.lookups, counts, horizonSeq);
  }

  /** Takes in the rows that entries touch. */
  async load(replayed: readonly ReplayedEntry[], readRows: Store["readRows"]): Promise<void> {
    const keys = new Map<string, RowKey>();
    for (const { compiled, delta } of replayed.flatMap(({ deltas }) => deltas)) {
      if (this.book.active.modeOf(compiled.table.table.name) === "upload-only") continue;
      const key = { table: compiled.table.id, rowId: delta.rowId };
      keys.set(keyText(key), key);
    }
    const list = [...keys.values()];
    if (list.length > 0) this.working.load(list, await readRows(list));
  }

  /** Merges an entry, and holds what comes of it to what the log says. */
  async merge({ entry, version, deltas, claims }: ReplayedEntry): Promise<void> {
    const { seq, clientId, mutationId, payload } = entry;
    const guard = new ReplayGuard(claims, this.lookups);
    const writer = { clientId, maxOrphans: Infinity, guard };
    const applied = await withLookups(
      this.committer,
      this.lookups,
      () => this.working.apply(writer, mutationId, deltas, seq),
    );
    if ("rejection" in applied) throw inexact(seq, applied.rejection.message);
    if (!isSame(payload, version, deltas, applied.outcomes)) {
      throw inexact(seq, "the changes come to something else; the copy is of another history");
    }
  }
}

function isSame(
  payload: Uint8Array,
  version: number,
  deltas: readonly JudgedDelta[],
  outcomes: readonly Outcome[],
): boolean {
  const changes = deltas.map(({ delta }): Delta => delta);
  return sameBytes(logOutcomes(payload), logOutcomes(writeLogPayload(version, changes, outcomes)));
}
