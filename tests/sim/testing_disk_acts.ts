/**
 * Random changes of a store, and everything that can be read of one.
 *
 * @module
 */

import type { Random } from "../oracle/random.ts";
import {
  at,
  bucket,
  client,
  logEntry,
  next,
  scanAll,
} from "../../server/store/_conformance_tools.ts";
import {
  type LargeCommit,
  LOG_START,
  type RowWrite,
  type Store,
  type Writes,
} from "../../server/store/store.ts";

/** A change, described so that it does the same in every store of the same content. */
export type Act = (store: Store) => Promise<unknown>;

const ROWS: readonly string[] = ["a", "b", "c", "d", "e", "f"];
const MUTATIONS: readonly number[] = [1, 2, 3];
const NAMES: readonly string[] = ["one", "two"];

/**
 * Makes a change.
 *
 * @param random decides which
 * @returns the change
 */
export function randomAct(random: Random): Act {
  const mark = random.token();
  const act = random.weighted<() => Act>([
    [8, () => commitAct(random, mark)],
    [3, () => largeAct(random, mark)],
    [3, () => stageAct(random)],
    [1, () => {
      const limit = random.between(1, 3);
      return async (store) => store.trimLog((await store.head()).seq - 2, limit);
    }],
    [1, () => (store) => store.sweepAnswers(50, 2)],
    [1, () => (store) => store.sweepParts(50, 2)],
  ]);
  return act();
}

/**
 * Reads everything but the epoch and what names rows to the store itself.
 *
 * @param store the store
 * @returns what it holds
 */
export async function contentOf(store: Store): Promise<unknown> {
  const { seq, hlc } = await store.head();
  const rows = await store.scanRows({ after: "", limit: 1_000 });
  return {
    seq,
    hlc,
    rows: rows.rows.map(({ rowId, data }) => ({ rowId, data })),
    index: (await scanAll(store)).map(({ rowId, position }) => `${rowId}@${position.seq}`),
    log: await store.readLog(LOG_START, 1_000),
    clients: await store.readClients(["phone-1"]),
    buckets: await store.readBuckets([1, "all"]),
    meta: await Promise.all(NAMES.map((name) => store.readMeta(name))),
    answers: await Promise.all(NAMES.map((name) => store.readAnswer(name))),
    parts: await Promise.all(MUTATIONS.map((id) => store.readPart("phone-1", id, 1))),
    stats: await store.stats(),
  };
}

function commitAct(random: Random, mark: string): Act {
  const slice = randomSlice(random, mark);
  return async (store) => {
    const { seq } = await store.head();
    await store.commit(next(seq, await writesOf(store, slice, seq + 1, 0)));
  };
}

function largeAct(random: Random, mark: string): Act {
  const slices = random.list(1, 3, (index) => randomSlice(random, `${mark}${index}`));
  return async (store) => {
    const { seq } = await store.head();
    const large = await store.beginLarge();
    try {
      for (const [index, slice] of slices.entries()) {
        await large.write(await writesOf(large, slice, seq + 1, index));
      }
      await large.commit(next(seq));
    } finally {
      await large.abort();
    }
  };
}

function stageAct(random: Random): Act {
  const part = {
    clientId: "phone-1",
    mutationId: random.pick(MUTATIONS),
    part: 1,
    parts: 2,
    deltas: 1,
    stagedMs: random.below(100),
    payload: Uint8Array.from(random.list(0, 300, () => random.below(256))),
  };
  return (store) => store.stagePart(part);
}

/** What a slice writes; the rest follows from the store's content. */
interface Slice {
  readonly changes: readonly { readonly rowId: string; readonly data: string | undefined }[];
  readonly others: Writes;
  readonly bytes: number;
}

function randomSlice(random: Random, mark: string): Slice {
  const changes = random.some(ROWS, 0.4, 1).map((rowId) => ({
    rowId,
    data: random.chance(0.2) ? undefined : mark.padEnd(random.below(900), "."),
  }));
  const name = random.pick(NAMES);
  const answer = { key: name, bodyHash: "h", answer: mark, expiresMs: random.below(100) };
  const others = {
    meta: [[name, random.chance(0.3) ? null : mark] as const],
    answers: random.chance(0.3) ? [answer] : [],
    dropParts: random.chance(0.2) ? [{ clientId: "phone-1", mutationId: 1 }] : [],
  };
  return { changes, others, bytes: random.below(400) };
}

async function writesOf(
  from: Pick<Store | LargeCommit, "readRows">,
  { changes, others, bytes }: Slice,
  seq: number,
  slice: number,
): Promise<Writes> {
  const stored = await from.readRows(changes.map(({ rowId }) => ({ table: 1, rowId })));
  const rows = changes.map(({ rowId, data }, index): RowWrite => {
    const old = stored[index];
    const since = Number(old?.data.split(":")[0]);
    return {
      table: 1,
      rowId,
      data: data && `${seq}:${data}`,
      ref: old?.ref,
      drop: old ? [at(since)] : [],
      add: data === undefined ? [] : [at(seq)],
    };
  });
  return {
    ...others,
    rows,
    log: [logEntry(seq, slice, bytes)],
    clients: [client("phone-1", seq)],
    buckets: [bucket({ seq })],
  };
}
