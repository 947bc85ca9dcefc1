import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { memoryObjects } from "../../object-store/memory.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import { Turns } from "../../lifecycle/turns.ts";
import { loadTables } from "../flush/tables.ts";
import { mergeLake } from "../table/merge_lake.ts";
import { TestGateway } from "../table/testing_gateway.ts";
import { changes, type GivenChange, numbered, TABLE } from "../table/testing_history.ts";
import { openTestLake, type TestLake } from "../table/testing_lake.ts";
import { SMALL } from "../table/testing_steps.ts";
import { type LakeQueryOptions, openLakeQuery, QueryError, type QueryTail } from "./mod.ts";
import type { LakeQuery } from "./query.ts";
import { askRows, TestLog } from "./testing_log.ts";

function asked({ lake }: TestLake, more: Partial<LakeQueryOptions> = {}): LakeQuery {
  const { store, location, namespace } = lake;
  return openLakeQuery({ store, location, namespace, ...more });
}

/** Runs a test with a lake in memory and the log of its gateway. */
async function withLog(
  test: (lake: TestLake, log: TestLog, store: ObjectStore) => Promise<void>,
): Promise<void> {
  const store = memoryObjects();
  const lake = openTestLake(store);
  const log = new TestLog(lake.adapter);
  try {
    await log.ready(1);
    await test(lake, log, store);
  } finally {
    await lake.close();
  }
}

function change(
  op: GivenChange["op"],
  id: string,
  columns: GivenChange["columns"],
): GivenChange {
  const key = { table: TABLE, rowId: `["${id}",1]` };
  const effect = { isVisible: op !== "DELETE", replaces: op !== "UPDATE" };
  return { op, columns, effect: { key, ...effect, cells: numbered(columns) } };
}

const STEP = (version: 1 | 2) =>
  fc.record({
    changes: fc.array(changes(version), { maxLength: 5 }),
    isFlushed: fc.boolean(),
    isMerged: fc.boolean(),
  });

Deno.test("G10: each moment is answered exactly, however far it is flushed and merged", async () => {
  const history = fc.record({
    old: fc.array(STEP(1), { maxLength: 3 }),
    young: fc.array(STEP(2), { minLength: 1, maxLength: 4 }),
    isTold: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(history, ({ old, young, isTold }) =>
      withLog(async (lake, log) => {
        const query = asked(lake, { tail: log });
        const play = async (steps: typeof young) => {
          for (const { changes, isFlushed, isMerged } of steps) {
            log.commit(changes);
            if (isFlushed && isTold) await log.flush();
            if (isMerged) await mergeLake(lake.lake, SMALL);
            assert.deepEqual(await askRows(query), log.rowsAfter(log.seq));
          }
        };
        try {
          await play(old);
          if (isTold) await log.ready(2);
          else log.evolve();
          await play(young);
          for (let seq = 0; seq <= log.seq; seq++) {
            const rows = await askRows(query, { asOf: { seq } });
            assert.deepEqual(rows, log.rowsAfter(seq), `after ${seq}`);
          }
        } finally {
          await query.close();
        }
      })),
    { numRuns: 5 },
  );
});

/** A store whose readers are told of before each object that is read. */
function watched(store: ObjectStore, reading: (key: string) => void | Promise<void>): ObjectStore {
  return {
    putObject: (...args) => store.putObject(...args),
    createObject: (...args) => store.createObject(...args),
    headObject: (...args) => store.headObject(...args),
    listObjects: (...args) => store.listObjects(...args),
    deleteObject: (...args) => store.deleteObject(...args),
    deleteObjects: (...args) => store.deleteObjects(...args),
    getObject: async (key, range) => {
      await reading(key);
      return await store.getObject(key, range);
    },
  };
}

Deno.test("G10: who asks while it is flushed and merged sees the rows of one commit", () =>
  withLog(async (lake, log, store) => {
    let steps = 0;
    const turns = new Turns();
    const step = async () => {
      const id = (by: number) => String.fromCharCode(97 + steps * by % 6);
      const given = [change("INSERT", id(1), { name: `${steps}` }), change("UPDATE", id(5), {})];
      steps++;
      log.commit(given);
      await log.flush();
      if (steps % 3 === 0) await mergeLake(lake.lake, SMALL);
    };
    await step();
    // The lake changes between two reads of whoever asks, earlier or later.
    for (let every = 1; every <= 8; every++) {
      let reads = 0;
      const changing = watched(store, async () => {
        if (reads++ % every === every - 1 && reads < 12) await turns.take(step);
      });
      const query = asked(lake, { store: changing });
      try {
        const { rows, seq } = await query.query("SELECT id, name FROM tasks ORDER BY id");
        const expected = [...log.rowsAfter(seq)].map(([key, cells]) => [
          JSON.parse(key)[0],
          cells.get(3) ?? null,
        ]);
        assert.deepEqual(rows, expected, `after ${seq}`);
        assert.ok(seq < log.seq, "Nothing changed while it was read");
      } finally {
        await query.close();
      }
    }
  }));

Deno.test("G10: after restores and refills the rows are the gateway's, large commits whole", async () => {
  const step = fc.oneof(
    fc.tuple(fc.constant("flush" as const), fc.array(changes(1), { maxLength: 5 })),
    fc.tuple(fc.constant("slices" as const), fc.array(changes(1), { maxLength: 5 })),
    fc.tuple(fc.constant("rewind" as const), fc.constant([])),
    fc.tuple(fc.constant("refill" as const), fc.array(changes(1), { maxLength: 3 })),
    fc.tuple(fc.constant("merge" as const), fc.constant([])),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
      const test = openTestLake(memoryObjects());
      const gateway = new TestGateway(test.adapter);
      const query = asked(test);
      try {
        await gateway.begin();
        for (const [what, given] of steps) {
          if (what === "flush") await gateway.flush([given], true);
          if (what === "slices") await gateway.flushSlices([given.slice(0, 2), given.slice(2)]);
          if (what === "rewind") await gateway.rewind(2);
          if (what === "refill") await gateway.refill(given);
          if (what === "merge") await mergeLake(test.lake, SMALL);
          await askRows(query);
        }
        await gateway.settle();
        const byId = [...gateway.visible].sort(([a], [b]) => a < b ? -1 : 1);
        assert.deepEqual(await askRows(query), new Map(byId));
        await mergeLake(test.lake);
        assert.deepEqual(await askRows(query), new Map(byId));
      } finally {
        await query.close();
        await test.close();
      }
    }),
    { numRuns: 12 },
  );
});

Deno.test("G13: rows of a history that was lost are not what later moments are made of", () =>
  withLog(async (lake, log) => {
    const query = asked(lake);
    const step = async (...given: readonly GivenChange[]) => {
      log.commit(given);
      await log.flush();
      await mergeLake(lake.lake);
    };
    try {
      await step(change("INSERT", "a", { name: "kept" }));
      await step(change("UPDATE", "a", { name: "lost" }), change("INSERT", "b", {}));
      await step(change("UPDATE", "a", { count: 1 }));
      await log.restore(1);
      assert.deepEqual(await askRows(query), log.rowsAfter(1));
      await mergeLake(lake.lake);
      assert.deepEqual(await askRows(query, { asOf: { seq: 1 } }), log.rowsAfter(1));
      log.commit([change("INSERT", "c", { name: "new" })]);
      await log.flush();
      assert.deepEqual(await askRows(query, { asOf: { seq: 1 } }), log.rowsAfter(1));
      log.commit([change("UPDATE", "a", { name: "given back" }), change("DELETE", "b", {})]);
      await log.flush();
      await mergeLake(lake.lake);
      assert.deepEqual(await askRows(query), log.rowsAfter(3));
      assert.deepEqual(await askRows(query, { asOf: { seq: 1 } }), log.rowsAfter(1));
    } finally {
      await query.close();
    }
  }));

Deno.test("after a refill rows are those that were filled, and what is missing is not shown", () =>
  withLog(async (lake, log) => {
    const query = asked(lake);
    try {
      log.commit([change("INSERT", "a", { name: "one" }), change("INSERT", "b", {})]);
      await log.flush();
      await mergeLake(lake.lake);
      const first = log.rowsAfter(1);
      log.commit([change("UPDATE", "a", { name: "never told" }), change("DELETE", "b", {})]);
      log.commit([change("INSERT", "c", {})]);
      const { effect } = change("INSERT", "a", { name: "filled" });
      await log.refill([effect]);
      const filled = new Map([[`["a",1]`, new Map([[3, "filled"]])]]);
      assert.deepEqual(await askRows(query), filled);
      await mergeLake(lake.lake);
      assert.deepEqual(await askRows(query), filled);
      assert.deepEqual(await askRows(query, { asOf: { seq: 1 } }), first);
      await assert.rejects(
        () => askRows(query, { asOf: { seq: 2 } }),
        /filled from rows at commit 3; of the changes after commit 1 .* commit 2 cannot be shown/,
      );
    } finally {
      await query.close();
    }
  }));

Deno.test("a moment is a time, a commit or a snapshot, and both tables are as of it", () =>
  withLog(async (lake, log) => {
    const query = asked(lake);
    const count = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM tasks__changes)";
    try {
      for (const id of ["a", "b", "c"]) {
        log.commit([change("INSERT", id, { name: id })]);
        await log.flush();
        await mergeLake(lake.lake);
      }
      const counts = async (options: Parameters<LakeQuery["query"]>[1] = {}) => {
        const { rows, seq } = await query.query(count, options);
        return [...rows[0] ?? [], seq];
      };
      assert.deepEqual(await counts(), [3, 3, 3]);
      assert.deepEqual(await counts({ asOf: { seq: 1 } }), [1, 1, 1]);
      const second = log.timeOf(2);
      assert.deepEqual(await counts({ asOf: second }), [2, 2, 2]);
      assert.deepEqual(await counts({ asOf: new Date(second.getTime() - 1) }), [1, 1, 1]);
      assert.deepEqual(await counts({ asOf: "2025-12-31" }), [0, 0, 0]);
      const late = new Date(log.timeOf(3).getTime() + 1);
      assert.deepEqual(await counts({ asOf: late }), [3, 3, 3]);
      const { rows, changes } = await loadTables(lake.lake);
      for (
        const { metadata } of [rows.get(TABLE), changes.get(TABLE)?.loaded].flatMap((t) => t ?? [])
      ) {
        const of = metadata.snapshots?.find(({ summary }) => summary["lakesync.seq"] === "2");
        const snapshot = of?.["snapshot-id"] ?? assert.fail();
        assert.deepEqual(await counts({ asOf: { snapshot } }), [2, 2, 2]);
      }
      for (
        const [asOf, message] of [
          [{ seq: 4 }, /Commit 4 is after the last one, which is 3/],
          [{ seq: -1 }, /whole number from 0/],
          [{ snapshot: 5 }, /no snapshot 5/],
          ["yesterday", /A time is like/],
          [
            "2999-01-01T00:00:00+02:00",
            new RegExp(`in the future.* ${log.timeOf(3).toISOString()}, commit 3$`),
          ],
        ] as const
      ) {
        await assert.rejects(() => query.query(count, { asOf }), (error) => {
          assert.ok(error instanceof QueryError);
          assert.match(error.message, message);
          return true;
        });
      }
    } finally {
      await query.close();
    }
  }));

Deno.test("a question says which tables there are, and reads nothing but them", () =>
  withLog(async (lake, log) => {
    const empty = asked(lake, { namespace: "other" });
    const where = `other in ${lake.lake.location.root}`;
    await assert.rejects(() => empty.query("SELECT * FROM todos"), {
      name: "QueryError",
      message: `There is no table todos, there are none yet under ${where}`,
    });
    await empty.close();
    log.commit([change("INSERT", "a", { name: "'\"" })]);
    await log.flush();
    const query = asked(lake);
    try {
      await assert.rejects(() => query.query("SELECT * FROM todos"), {
        name: "QueryError",
        message: "There is no table todos, there are tasks, tasks__changes",
      });
      const shown = await query.query("SHOW TABLES");
      assert.deepEqual(shown.rows, [["tasks"], ["tasks__changes"]]);
      for (const sql of ["SELECT * FROM '/etc/passwd'", "FROM read_text('/etc/passwd')"]) {
        await assert.rejects(() => query.query(sql), { name: "QueryError" });
      }
      const { rows } = await query.query(`SELECT name FROM "TASKS"`);
      assert.deepEqual(rows, [["'\""]]);
    } finally {
      await query.close();
    }
    await assert.rejects(() => query.query("SELECT 1"), /closed/);
  }));

Deno.test("a gateway that does not fit to the lake is told of, not mixed in", () =>
  withLog(async (lake, log) => {
    log.commit([change("INSERT", "a", {})]);
    await log.flush();
    const other = new TestLog(lake.adapter, "other-life");
    for (const id of ["b", "c"]) other.commit([change("INSERT", id, {})]);
    const mixed = asked(lake, { tail: other });
    const query = asked(lake, { tail: log });
    try {
      await assert.rejects(() => mixed.query("FROM tasks"), {
        name: "QueryError",
        message: /went back to before what the lake has/,
      });
      log.trimmedAfter = 0;
      await assert.rejects(() => query.query("FROM tasks"), /no longer has what the lake lacks/);
    } finally {
      await query.close();
      await mixed.close();
    }
  }));

Deno.test("a gateway that fails while it is read is read again, and nothing counts twice", () =>
  withLog(async (lake, log) => {
    for (let i = 0; i < 5; i++) log.commit([change("UPDATE", "a", { count: i })]);
    await log.flush(1);
    let reads = 0;
    const failing: QueryTail = {
      read: (after) => {
        if (++reads === 2 || reads === 5) throw new Error("The gateway is gone");
        return log.read(after);
      },
    };
    const query = asked(lake, { tail: failing });
    const count = async () => {
      const { rows, seq } = await query.query("SELECT count(*) FROM tasks__changes");
      return [rows[0]?.[0], seq];
    };
    try {
      await assert.rejects(count, /The gateway is gone/);
      await assert.rejects(count, /The gateway is gone/);
      assert.deepEqual(await count(), [5, 5]);
      log.commit([change("INSERT", "b", {})]);
      assert.deepEqual(await count(), [6, 6]);
      await log.flush();
      assert.deepEqual(await count(), [6, 6]);
    } finally {
      await query.close();
    }
  }));

Deno.test("history tells who changed which cell of a row when", () =>
  withLog(async (lake, log) => {
    log.commit([change("INSERT", "a", { name: "one", count: 2n ** 62n, due: null })]);
    log.commit([change("UPDATE", "a", { name: "two" }), change("UPDATE", "b", { count: 1 })]);
    await log.flush();
    await mergeLake(lake.lake);
    log.commit([change("UPDATE", "a", { name: "two", due: "2026-01-31T09:30:00Z" })]);
    await log.flush();
    log.commit([change("DELETE", "a", {})]);
    const query = asked(lake, { tail: log });
    try {
      const history = await query.history("tasks", `["a",1]`);
      assert.deepEqual(
        history.map(({ op, seq, clientId, committedMs, isVisible, cells }) => ({
          ...{ op, seq, clientId, at: new Date(committedMs).toISOString(), isVisible },
          cells: cells.map(({ column, before, after }) => [column, before, after]),
        })),
        [
          {
            ...{ op: "INSERT", seq: 1, clientId: "c", at: "2026-01-01T01:00:00.000Z" },
            isVisible: true,
            cells: [["name", null, "one"], ["count", null, 2n ** 62n]],
          },
          {
            ...{ op: "UPDATE", seq: 2, clientId: "c", at: "2026-01-01T02:00:00.000Z" },
            isVisible: true,
            cells: [["name", "one", "two"]],
          },
          {
            ...{ op: "UPDATE", seq: 3, clientId: "c", at: "2026-01-01T03:00:00.000Z" },
            isVisible: true,
            cells: [["due", null, "2026-01-31T09:30:00Z"]],
          },
          {
            ...{ op: "DELETE", seq: 4, clientId: "c", at: "2026-01-01T04:00:00.000Z" },
            isVisible: false,
            cells: [
              ["name", "two", null],
              ["count", 2n ** 62n, null],
              ["due", "2026-01-31T09:30:00Z", null],
            ],
          },
        ],
      );
      const early = await query.history("tasks", `["a",1]`, { asOf: { seq: 2 } });
      assert.deepEqual(early.map(({ seq }) => seq), [1, 2]);
      assert.deepEqual(await query.history("tasks", "nobody's"), []);
      await assert.rejects(() => query.history("nothing", "a"), /There is no table nothing/);
    } finally {
      await query.close();
    }
  }));

Deno.test("objects that are in no folder are copied once, into no more than is allowed", () =>
  withLog(async (lake, log, store) => {
    let fetched = 0;
    const counting = watched(store, (key) => {
      if (key.endsWith(".parquet")) fetched++;
    });
    for (const id of ["a", "b"]) {
      log.commit([change("INSERT", id, { name: id })]);
      await log.flush();
    }
    const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
    const ask = async (maxBytes: number, expected: number) => {
      const query = asked(lake, { store: counting, cache: { folder, maxBytes } });
      try {
        assert.equal((await askRows(query)).size, 2);
        assert.equal((await askRows(query, { asOf: { seq: 1 } })).size, 1);
        assert.equal(fetched, expected);
      } finally {
        await query.close();
      }
    };
    try {
      await ask(1_000_000, 2);
      const copies = (await readdir(folder)).filter((name) => name.endsWith(".parquet"));
      assert.equal(copies.length, 2);
      await ask(1_000_000, 2);
      await assert.rejects(() => ask(10, 2), /needs \d+ bytes of the lake, more than the 10/);
    } finally {
      await rm(folder, { recursive: true });
    }
    const gone = asked(lake);
    await askRows(gone);
    await gone.close();
    await assert.rejects(() => stat(folder));
  }));
