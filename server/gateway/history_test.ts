import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import { compact } from "./compaction.ts";
import { DEFAULT_RETENTION, type Retention } from "./environment.ts";
import type { HistoryChange, NumberedCell } from "./history.ts";
import { OpenGateway } from "./open_gateway.ts";
import { ALICE, at, BOB, delta, openFixture, push, START_MS, tx } from "./testing_fixture.ts";

const ALL = { changes: 1_000, bytes: 1_000_000 };

/** Cells without their stamps. */
function pairs(cells: readonly NumberedCell[] = []): readonly unknown[] {
  return cells.map(([column, value]) => [column, value]);
}

async function effects(gateway: OpenGateway): Promise<readonly unknown[]> {
  const { entries } = await gateway.history.read({ seq: 0 }, ALL);
  return entries.flatMap(({ changes }) =>
    changes.map(({ effect }: HistoryChange) => {
      const { isVisible, replaces, cells } = effect ?? {};
      return { isVisible, replaces, cells: pairs(cells) };
    })
  );
}

function opened(gateway: unknown): OpenGateway {
  assert.ok(gateway instanceof OpenGateway);
  return gateway;
}

Deno.test("history tells what a late DELETE has left of its row", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(1), { title: "old", n: 1 })),
    tx(2, delta("UPDATE", "t1", at(9), { n: 2 })),
    tx(3, delta("DELETE", "t1", at(5))),
    tx(4, delta("DELETE", "t1", at(4))),
    tx(5, delta("INSERT", "t1", at(8), { title: "new" })),
    tx(6, delta("DELETE", "t1", at(10))),
  ]);
  assert.deepEqual(await effects(gateway), [
    { isVisible: true, replaces: true, cells: [[1, "old"], [3, 1]] },
    { isVisible: true, replaces: false, cells: [[3, 2]] },
    { isVisible: false, replaces: true, cells: [[3, 2]] },
    { isVisible: false, replaces: false, cells: [] },
    { isVisible: true, replaces: false, cells: [[1, "new"]] },
    { isVisible: false, replaces: true, cells: [] },
  ]);
});

Deno.test("history tells that an INSERT dropped the cells its rules keep out", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  const own = [{ column: "title", op: "eq", value: "jwt:sub" }];
  await gateway.putRules({
    buckets: [{ name: "all", tables: ["todos"] }],
    write: [{ tables: ["todos"], ops: ["INSERT", "UPDATE"], filters: own }],
  }, 1_000);
  const bob = { ...BOB, claims: { sub: "bob" } };
  const alice = { ...ALICE, claims: { sub: "alice" } };
  await push(gateway, "b", [tx(1, delta("UPDATE", "t1", at(1), { title: "bob", n: 7 }))], {}, bob);
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(2), { title: "alice" }))], {}, alice);
  const { rows: [row] } = await gateway.history.rows([{ table: 1, rowId: "t1" }]);
  const last = (await effects(gateway)).at(-1);
  assert.deepEqual(pairs(row?.cells), [[1, "alice"]]);
  assert.deepEqual(last, { isVisible: true, replaces: true, cells: pairs(row?.cells) });
});

Deno.test("history gives what was asked for in the order of commits, whatever the limits", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  for (let i = 1; i <= 40; i++) {
    await push(gateway, "a", [tx(i, delta("INSERT", `t${i}`, at(i)), delta("DELETE", "x", at(i)))]);
  }
  for (const changes of [1, 3, 1_000]) {
    const seqs: number[] = [];
    for (let after = 0;;) {
      const limit = { ...ALL, changes };
      const { entries, throughSeq } = await gateway.history.read({ seq: after }, limit);
      if (entries.length === 0) break;
      assert.equal(throughSeq, entries.at(-1)?.seq);
      assert.ok(entries.length <= Math.ceil(changes / 2));
      seqs.push(...entries.map(({ seq }) => seq));
      after = seqs.at(-1) ?? 0;
    }
    assert.deepEqual(seqs, Array.from({ length: 40 }, (_, i) => i + 1));
  }
});

Deno.test("history tells through which commit a page and rows are", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(1))),
    tx(2, delta("INSERT", "t2", at(2))),
  ]);
  await gateway.putRules({ buckets: [{ name: "all", tables: ["todos"] }] }, 1_000);
  const { seq: headSeq } = await gateway.history.head();
  assert.ok(headSeq > 2);
  assert.equal((await gateway.history.read({ seq: 0 }, ALL)).throughSeq, headSeq);
  assert.equal((await gateway.history.read({ seq: 2 }, ALL)).throughSeq, headSeq);
  assert.equal((await gateway.history.read({ seq: 0 }, { ...ALL, changes: 1 })).throughSeq, 1);
  assert.equal((await gateway.history.rows([{ table: 1, rowId: "t1" }])).seq, headSeq);
});

Deno.test("history says that an INSERT into an upload-only table replaces its row", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  await gateway.putRules({
    buckets: [],
    tables: { todos: { mode: "upload-only" } },
    write: [{ tables: ["todos"], ops: ["INSERT"] }],
  }, 1_000);
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(1), { title: "a" }))]);
  const last = (await effects(gateway)).at(-1);
  assert.deepEqual(last, { isVisible: true, replaces: true, cells: [[1, "a"]] });
});

const DAY_MS = 24 * 60 * 60 * 1000;

Deno.test("G10: the log is kept for who needs it, up to its size, and says what it lacks", async () => {
  const retention: Retention = {
    ...DEFAULT_RETENTION,
    logMaxBytes: 2_000,
    logWhenFull: "trim",
  };
  await using fixture = await openFixture(memoryStores(), { retention });
  const gateway = opened(fixture.gateway);
  const stop = gateway.history.keepAfter(() => 2);
  for (let i = 1; i <= 4; i++) {
    await push(gateway, "a", [tx(i, delta("INSERT", `t${i}`, undefined))]);
  }
  fixture.clock.ms = START_MS + 10 * DAY_MS;
  await push(gateway, "a", [tx(5, delta("INSERT", "t5", undefined))]);
  fixture.clock.ms = START_MS + 16 * DAY_MS;
  const trim = () =>
    gateway.committer.alone(() => compact(gateway.committer, gateway.history.neededAfter));
  const lacks = async (seq: number, slice?: number) =>
    (await gateway.history.read(slice === undefined ? { seq } : { seq, slice }, ALL)).trimmed;
  await trim();
  assert.deepEqual([await lacks(1), await lacks(2), await lacks(2, 0)], [true, false, true]);
  assert.equal((await gateway.history.read({ seq: 2 }, ALL)).entries.length, 3);
  stop();
  await trim();
  assert.deepEqual([await lacks(3), await lacks(4), await lacks(5)], [true, false, false]);
  gateway.history.keepAfter(() => 4);
  await push(gateway, "a", [tx(6, delta("INSERT", "t6", undefined, { title: "x".repeat(3_000) }))]);
  await trim();
  assert.deepEqual([await lacks(5), await lacks(6)], [true, false]);
  assert.deepEqual((await gateway.history.read({ seq: 0 }, ALL)).entries, []);
});

Deno.test("history knows columns by their numbers when their names and version are gone", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(1), { title: "a", done: true, n: 1 }))]);
  await gateway.putSchema({
    version: 2,
    tables: {
      items: {
        renamedFrom: "todos",
        primaryKey: ["id"],
        columns: { id: "string", heading: { type: "string", renamedFrom: "title" }, n: "integer" },
      },
    },
  }, true);
  const [table] = gateway.history.schema.tables;
  assert.deepEqual([table?.id, table?.table.name, table?.columnIds], [1, "items", [0, 1, 3]]);
  assert.deepEqual(await effects(gateway), [
    { isVisible: true, replaces: true, cells: [[1, "a"], [2, true], [3, 1]] },
  ]);
});

Deno.test("history stamps cells, in changes and in rows, and walks over all rows", async () => {
  await using fixture = await openFixture();
  const gateway = opened(fixture.gateway);
  await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(1), { title: "one", n: 1 })),
    tx(2, delta("INSERT", "t2", at(2), { title: "two" })),
  ]);
  await push(gateway, "b", [tx(1, delta("UPDATE", "t1", at(3), { n: 2 }))]);
  const { entries } = await gateway.history.read({ seq: 0 }, ALL);
  const [, , stamp] = entries.at(-1)?.changes[0]?.effect?.cells[0] ?? [];
  assert.deepEqual(stamp, { hlc: at(3), clientId: "b" });
  const first = await gateway.history.walk("", 1);
  assert.deepEqual(first.rows, [{
    key: { table: 1, rowId: "t1" },
    isVisible: true,
    cells: [
      [1, "one", { hlc: at(1), clientId: "a" }],
      [3, 2, { hlc: at(3), clientId: "b" }],
    ],
  }]);
  const second = await gateway.history.walk(first.place ?? "", 9);
  assert.deepEqual(second.rows.map(({ key }) => key.rowId), ["t2"]);
  assert.equal(second.place, undefined);
});
