/**
 * The model that random histories are compared with, and the comparison.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scanAll, scanSide } from "./_conformance_tools.ts";
import { type BucketEntry, LOG_START, type LogEntry, type ReadView, type Store } from "./store.ts";

/** The rows of the model. */
export const ROW_IDS: readonly string[] = ["a", "b", "c", "d", "e"];
/** The buckets they are in. */
export const BUCKETS: readonly number[] = [1, 2];

/** A row and its place in each bucket it is in or left. */
export interface ModelRow {
  readonly data: string;
  readonly places: ReadonlyMap<number, BucketEntry>;
}

/** What a store holds. */
export interface Model {
  readonly seq: number;
  readonly rows: ReadonlyMap<string, ModelRow>;
  readonly log: readonly LogEntry[];
  readonly clients: ReadonlyMap<string, number>;
  /** The seq of each bucket's record. */
  readonly buckets: ReadonlyMap<number, number>;
}

/** Fails unless a store answers as the model does. */
export async function compare(
  store: Store,
  model: Model,
  limit: number,
): Promise<void> {
  assert.equal((await store.head()).seq, model.seq);
  const read = await store.readRows(
    ROW_IDS.map((rowId) => ({ table: 1, rowId })),
  );
  assert.deepEqual(
    read.map((row) => row?.data),
    ROW_IDS.map((rowId) => model.rows.get(rowId)?.data),
  );
  const fromSeq = Math.max(0, model.seq - 3);
  for (const bucket of BUCKETS) {
    const found = await scanAll(store, {
      bucket,
      after: { seq: fromSeq, tie: "" },
      limit,
    });
    const seqs = found.map(({ position }) => position.seq);
    assert.deepEqual(seqs, seqs.toSorted((a, b) => a - b));
    const expected = [...model.rows].flatMap(([rowId, { data, places }]) => {
      const place = places.get(bucket);
      if (!place || place.seq < fromSeq) return [];
      return [`${rowId}@${place.seq} ${place.gone} ${data}`];
    });
    assert.deepEqual(
      found.map(({ rowId, position, gone, data }) => `${rowId}@${position.seq} ${gone} ${data}`)
        .sort(),
      expected.sort(),
    );
  }
  const walked = await store.scanRows({ after: "", limit: 100 });
  assert(walked.complete);
  assert.deepEqual(
    new Map(walked.rows.map(({ rowId, data }) => [rowId, data])),
    new Map([...model.rows].map(([rowId, { data }]) => [rowId, data])),
  );
  const current = await store.view();
  await compareView(current, model, limit);
  assert.equal(await current.end(), true);
  assert.deepEqual(await store.readLog(LOG_START, 1_000), model.log);
  const clients = await store.readClients([...model.clients.keys()]);
  assert.deepEqual(
    clients.map((found) => found?.lastMutationId),
    [...model.clients.values()],
  );
  assert.deepEqual(await store.stats(), {
    logEntries: model.log.length,
    logBytes: model.log.reduce((sum, { payload }) => sum + payload.length, 0),
    clients: model.clients.size,
  });
}

/** Fails unless a view shows what the model holds. */
export async function compareView(view: ReadView, model: Model, limit: number): Promise<void> {
  assert.equal(view.head.seq, model.seq);
  const read = await view.rows(ROW_IDS.map((rowId) => ({ table: 1, rowId })));
  assert.deepEqual(
    read.map((row) => row?.data),
    ROW_IDS.map((rowId) => model.rows.get(rowId)?.data),
  );
  for (const number of BUCKETS) {
    for (const gone of [false, true]) {
      const found = await scanSide(view, { bucket: number, gone }, limit);
      const expected = [...model.rows].flatMap(([rowId, { data, places }]) => {
        const place = places.get(number);
        return place?.gone === gone ? [`${rowId}@${place.seq} ${data}`] : [];
      });
      assert.deepEqual(
        found.map(({ rowId, position, data }) => `${rowId}@${position.seq} ${data}`).sort(),
        expected.sort(),
      );
      const seqs = found.map(({ position }) => position.seq);
      assert.deepEqual(seqs, seqs.toSorted((a, b) => a - b));
    }
  }
  const clients = await view.clients(["c0", "c1", "c2"]);
  assert.deepEqual(
    clients.map((found) => found?.lastMutationId),
    ["c0", "c1", "c2"].map((id) => model.clients.get(id)),
  );
  const buckets = await view.buckets([1, "b1", 2, "b2", 3, "b3"]);
  assert.deepEqual(
    buckets.map((found) => found?.seq),
    [1, 1, 2, 2, 3, 3].map((number) => model.buckets.get(number)),
  );
}
