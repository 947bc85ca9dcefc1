/**
 * Random histories against a model: a store must answer as plain maps do.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { at, bucket, client, goneAt, logEntry, next, openStore } from "./_conformance_tools.ts";
import {
  BUCKETS,
  compare,
  compareView,
  type Model,
  type ModelRow,
  ROW_IDS,
} from "./_conformance_expected.ts";
import type { ConformanceCase, StoreSubject } from "./conformance.ts";
import type { BucketEntry, LargeCommit, ReadView, RowWrite, Store, Writes } from "./store.ts";

/** Fewer than a store may hold at once. */
const MAX_VIEWS = 3;

/** A view that is open, and what it must show. */
type Opened = readonly [view: ReadView, model: Model];

/** What happens to a row: it is put into these buckets and no others, or removed. */
interface Change {
  readonly rowId: string;
  readonly buckets: readonly number[] | "removed";
  readonly bytes: number;
}

interface Step {
  readonly kind: "commit" | "abort" | "trim" | "reopen" | "open view" | "end view";
  readonly slices: readonly (readonly Change[])[];
  readonly limit: number;
}

const change: fc.Arbitrary<Change> = fc.record({
  rowId: fc.constantFrom(...ROW_IDS),
  buckets: fc.oneof(
    { weight: 4, arbitrary: fc.subarray([...BUCKETS]) },
    { weight: 1, arbitrary: fc.constant("removed" as const) },
  ),
  bytes: fc.constantFrom(0, 10, 5_000, 70_000),
});

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant("commit" as const) },
    { weight: 2, arbitrary: fc.constantFrom("abort", "trim", "reopen") },
    { weight: 3, arbitrary: fc.constantFrom("open view", "open view", "end view") },
  ),
  slices: fc.array(
    fc.uniqueArray(change, { selector: (c) => c.rowId, maxLength: 5 }),
    { minLength: 1, maxLength: 3 },
  ),
  limit: fc.integer({ min: 1, max: 6 }),
});

/**
 * Tests of random histories.
 *
 * @param runs how many
 * @returns the tests
 */
export function modelCases(runs: number): readonly ConformanceCase[] {
  return [{
    name: "answers as the model does after any history",
    run: (subject) =>
      fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 16 }),
          (steps) => follow(subject, steps),
        ),
        { numRuns: runs },
      ),
  }];
}

async function follow(
  subject: StoreSubject,
  steps: readonly Step[],
): Promise<void> {
  let stores = await subject.open();
  let store = await openStore(stores);
  let model: Model = { seq: 0, rows: new Map(), log: [], clients: new Map(), buckets: new Map() };
  const views: Opened[] = [];
  for (const { kind, slices, limit } of steps) {
    if (kind === "open view" && views.length < MAX_VIEWS) {
      views.push([await store.view(), model]);
    } else if (kind === "open view" || kind === "end view") {
      const [opened] = views.splice(limit % (views.length + 1), 1);
      if (opened) await endView(subject, opened, limit);
    } else if (kind === "reopen") {
      for (const [view] of views.splice(0)) await view.end();
      stores = await subject.reopen(stores);
      store = await openStore(stores);
    } else if (kind === "trim") {
      model = await trim(store, model, limit);
    } else if (kind === "commit") {
      model = await commit(store, model, slices);
    } else {
      await writeSlices(await store.beginLarge(), model, slices, true);
    }
    await compare(store, model, limit);
  }
  for (const opened of views) await endView(subject, opened, 2);
  for (const gatewayId of await stores.list()) assert.equal(gatewayId, "default");
  await store.close();
  await stores.close();
}

async function trim(
  store: Store,
  model: Model,
  limit: number,
): Promise<Model> {
  const through = model.seq - 2;
  const trimmed = model.log.filter(({ seq }) => seq <= through).slice(0, limit);
  assert.equal(await store.trimLog(through, limit), trimmed.length);
  return { ...model, log: model.log.slice(trimmed.length) };
}

async function commit(
  store: Store,
  model: Model,
  slices: readonly (readonly Change[])[],
): Promise<Model> {
  const [only] = slices;
  if (slices.length > 1 || !only) {
    return writeSlices(await store.beginLarge(), model, slices, false);
  }
  const { rows, writes } = await plan(store, model.rows, only, model.seq + 1);
  const extra = others(model.seq + 1, 0);
  await store.commit(next(model.seq, { ...extra, ...writes }));
  return after({ ...model, rows }, 1);
}

async function writeSlices(
  large: LargeCommit,
  model: Model,
  slices: readonly (readonly Change[])[],
  abort: boolean,
): Promise<Model> {
  const seq = model.seq + 1;
  let current = model.rows;
  for (const [slice, changes] of slices.entries()) {
    const { rows, writes } = await plan(large, current, changes, seq);
    await large.write({ ...writes, ...others(seq, slice) });
    current = rows;
  }
  if (abort) {
    await large.abort();
    return model;
  }
  await large.commit(next(model.seq));
  return after({ ...model, rows: current }, slices.length);
}

/** The number of the bucket whose record a commit writes. */
function bucketOf(seq: number): number {
  return seq % 3 + 1;
}

/** What every slice writes besides rows. */
function others(seq: number, slice: number): Writes {
  return {
    log: [logEntry(seq, slice, seq * 10)],
    clients: [client(`c${seq % 3}`, seq)],
    dropBuckets: seq % 4 === 0 ? [bucketOf(seq + 1)] : [],
    buckets: [bucket({ bucket: bucketOf(seq), id: `b${bucketOf(seq)}`, seq })],
  };
}

/** The model after a commit of so many slices. */
function after(model: Model, slices: number): Model {
  const seq = model.seq + 1;
  const added = Array.from(
    { length: slices },
    (_, slice) => logEntry(seq, slice, seq * 10),
  );
  return {
    seq,
    rows: model.rows,
    log: [...model.log, ...added],
    clients: new Map([...model.clients, [`c${seq % 3}`, seq]]),
    buckets: new Map([
      ...[...model.buckets].filter(([number]) => seq % 4 !== 0 || number !== bucketOf(seq + 1)),
      [bucketOf(seq), seq],
    ]),
  };
}

/** Turns changes into writes, by the handles that the store gives. */
async function plan(
  from: Pick<Store, "readRows">,
  before: ReadonlyMap<string, ModelRow>,
  changes: readonly Change[],
  seq: number,
): Promise<{ rows: ReadonlyMap<string, ModelRow>; writes: Writes }> {
  const keys = changes.map(({ rowId }) => ({ table: 1, rowId }));
  const stored = await from.readRows(keys);
  const rows = new Map(before);
  const writes: RowWrite[] = [];
  for (const [index, { rowId, buckets, bytes }] of changes.entries()) {
    const old = before.get(rowId);
    assert.equal(stored[index]?.data, old?.data);
    const data = buckets === "removed" ? undefined : `${seq}.${rows.size}`.padEnd(bytes, "x");
    const places = placesAfter(old, buckets, seq);
    const added = [...places.values()].filter((place) => place.seq === seq);
    writes.push({
      table: 1,
      rowId,
      data,
      ref: stored[index]?.ref,
      drop: [...old?.places.values() ?? []].filter((place) => places.get(place.bucket) !== place),
      add: added,
    });
    if (data === undefined) rows.delete(rowId);
    else rows.set(rowId, { data, places });
  }
  return { rows, writes: { rows: writes } };
}

function placesAfter(
  old: ModelRow | undefined,
  buckets: readonly number[] | "removed",
  seq: number,
): ReadonlyMap<number, BucketEntry> {
  if (buckets === "removed") return new Map();
  const places = new Map(old?.places);
  for (const bucket of BUCKETS) {
    if (buckets.includes(bucket)) places.set(bucket, at(seq, bucket));
    else if (places.get(bucket)?.gone === false) {
      places.set(bucket, goneAt(seq, bucket));
    }
  }
  return places;
}

/** Fails unless a view still shows what there was when it was opened, or says that it may not. */
async function endView(
  subject: StoreSubject,
  [view, model]: Opened,
  limit: number,
): Promise<void> {
  const [outcome] = await Promise.allSettled([compareView(view, model, limit)]);
  const isOne = await view.end();
  assert(isOne || !subject.versions);
  if (isOne && outcome.status === "rejected") throw outcome.reason;
}
