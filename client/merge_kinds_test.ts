/**
 * Counters, sets, greatest and least values through the whole client: several databases, one
 * gateway in memory, acceptances, refusals, lost answers.
 */

import {
  defineSchema,
  type Delta,
  type Hlc,
  parseSchema,
  type PushResult,
  type Value,
} from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { type LocalDatabase, openLocal } from "./local.ts";
import { layOver, MemoryGateway, rowName, WIDE } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    t: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        n: { type: "integer", merge: "counter" },
        s: { type: "json", merge: "set" },
        high: { type: "integer", merge: "max" },
        low: { type: "timestamp", merge: "min" },
        a: "string",
      },
    },
  },
});
const parsed = parseSchema(SCHEMA);

type Local = LocalDatabase<typeof SCHEMA>;
type Cells = Readonly<Record<string, Value>>;

async function withClients(
  count: number,
  work: (clients: readonly Local[], gateway: MemoryGateway) => Promise<void>,
): Promise<void> {
  const clients: Local[] = [];
  try {
    for (let i = 0; i < count; i++) {
      clients.push(await openLocal({ database: ":memory:", schema: SCHEMA }));
    }
    await work(clients, new MemoryGateway(parsed));
  } finally {
    for (const client of clients) await client.close();
  }
}

async function withLocal(
  work: (db: Local, gateway: MemoryGateway) => Promise<void>,
): Promise<void> {
  await withClients(1, async ([db], gateway) => {
    assert.ok(db !== undefined);
    await work(db, gateway);
  });
}

async function push(
  db: Local,
  gateway: MemoryGateway,
  refused: readonly number[] = [],
): Promise<PushResult> {
  const { clientId, settledMutationId } = await db.state();
  const batch = await db.nextBatch({ mutationId: settledMutationId, part: 0 }, WIDE);
  return gateway.push(clientId, batch?.transactions ?? [], (id) => refused.includes(id));
}

async function pull(db: Local, gateway: MemoryGateway): Promise<void> {
  const { clientId, cursor } = await db.state();
  for (const page of gateway.pull(clientId, cursor)) await db.receive(page);
}

async function sync(db: Local, gateway: MemoryGateway): Promise<void> {
  await db.pushed(await push(db, gateway));
  await pull(db, gateway);
}

/** What the row `a` has. */
async function cellsOf(db: Local): Promise<Cells | undefined> {
  return await db.tables.t.get("a");
}

/** Another client's write to the row `a`. */
function other(
  gateway: MemoryGateway,
  op: Delta["shape"]["op"],
  cells: Readonly<Record<string, Value>>,
): void {
  const now = BigInt(Date.now()) << 16n;
  const hlc = (now > gateway.hlc ? now : gateway.hlc + 1n) as Hlc;
  const shape = { op, table: "t", columns: Object.keys(cells) };
  gateway.write("other", [{
    shape,
    rowId: "a",
    hlc,
    values: Object.values(cells),
    deltaId: undefined,
  }]);
}

Deno.test("G6: an increment counts once, whether acceptance or checkpoint is known first", async () => {
  for (const answerFirst of [true, false]) {
    await withLocal(async (db, gateway) => {
      other(gateway, "INSERT", { n: 10, s: ["x"] });
      await pull(db, gateway);
      await db.exec(`UPDATE t SET n = n + 1, s = '["x","mine"]'`);
      await db.exec("UPDATE t SET n = n + 1");
      const answer = await push(db, gateway);
      if (answerFirst) await db.pushed(answer);
      assert.equal((await cellsOf(db))?.["n"], 12);
      other(gateway, "UPDATE", { n: { add: 100 }, s: { add: ["theirs"], remove: ["x"] } });
      await pull(db, gateway);
      const { n, s } = await cellsOf(db) ?? {};
      assert.deepEqual([n, s], [112, ["mine", "theirs"]]);
      if (!answerFirst) await db.pushed(answer);
      await pull(db, gateway);
      assert.equal((await cellsOf(db))?.["n"], 112);
    });
  }
});

Deno.test("pending increments and element changes lie over what others wrote meanwhile", async () => {
  await withLocal(async (db, gateway) => {
    other(gateway, "INSERT", { n: 1, s: ["x", "y"] });
    await pull(db, gateway);
    await db.exec(`UPDATE t SET n = n * 3, s = '["z","y"]'`);
    other(gateway, "UPDATE", { n: { add: 10 }, s: { add: ["w"], remove: ["y"] } });
    await pull(db, gateway);
    const { n, s } = await cellsOf(db) ?? {};
    assert.deepEqual([n, s], [13, ["w", "z"]]);
    await sync(db, gateway);
    assert.deepEqual(gateway.visible().get(rowName("t", "a"))?.["n"], 13);
    assert.deepEqual((await cellsOf(db))?.["s"], ["w", "z"]);
  });
});

Deno.test("G6: a refusal undoes its increments and element changes alone, others' in between too", async () => {
  await withLocal(async (db, gateway) => {
    other(gateway, "INSERT", { n: 5, s: ["x", "y"], high: 3 });
    await pull(db, gateway);
    await db.exec("UPDATE t SET n = n + 100, high = 50");
    await db.exec(`UPDATE t SET n = n + 1, s = '["x","keep"]'`);
    await db.exec(`UPDATE t SET n = n + 1000, s = '["keep","bad"]'`);
    other(gateway, "UPDATE", { n: { add: 20 }, s: { add: ["theirs"] } });
    await pull(db, gateway);
    assert.equal((await cellsOf(db))?.["n"], 1126);
    await db.pushed(await push(db, gateway, [1, 3]));
    const expected = { id: "a", n: 26, s: ["keep", "theirs", "x"], high: 3, low: null, a: null };
    assert.deepEqual(await cellsOf(db), expected);
    await pull(db, gateway);
    assert.deepEqual(await cellsOf(db), expected);
    assert.equal(await db.pendingOf("t", "a"), "synced");
  });
});

Deno.test("a dead letter shows increments and element changes, and issues them again, edited", async () => {
  await withLocal(async (db, gateway) => {
    other(gateway, "INSERT", { n: 5, s: ["x"], high: 3 });
    await pull(db, gateway);
    await db.transaction(async (tx) => {
      await tx.exec(`UPDATE t SET n = n + 2, s = '["y"]', high = 9`);
      await tx.exec("INSERT INTO t (id, n, s) VALUES ('b', ?, '[1]')", [2n ** 60n]);
    });
    await db.pushed(await push(db, gateway, [1]));
    const [letter] = await db.deadLetters();
    assert.deepEqual(letter?.changes.map(({ columns }) => columns), [
      { n: { add: 2 }, s: { add: ["y"], remove: ["x"] }, high: 9 },
      { n: { add: "1152921504606846976" }, s: { add: [1] }, high: null, low: null, a: null },
    ]);
    other(gateway, "UPDATE", { n: { add: 10 }, s: { add: ["z"] }, high: 20 });
    await pull(db, gateway);
    await db.retry(letter?.id ?? 0, (change) => ({
      ...change,
      columns: { ...change.columns, ...(change.rowId === "a" ? { n: { add: 3 } } : {}) },
    }));
    const { n, s, high } = await cellsOf(db) ?? {};
    assert.deepEqual([n, s, high], [18, ["y", "z"], 20]);
    await sync(db, gateway);
    const row = gateway.visible().get(rowName("t", "a"));
    assert.deepEqual([row?.["n"], row?.["s"], row?.["high"]], [18, ["y", "z"], 20]);
    assert.equal((await db.tables.t.get("b"))?.n, 2n ** 60n);
  });
});

Deno.test("an INSERT issued again for a row that is there now adds to it", async () => {
  await withLocal(async (db, gateway) => {
    await db.exec(`INSERT INTO t (id, n, s) VALUES ('a', 2, '["mine"]')`);
    await db.pushed(await push(db, gateway, [1]));
    assert.equal(await cellsOf(db), undefined);
    other(gateway, "INSERT", { n: 5, s: ["x"] });
    await pull(db, gateway);
    const [letter] = await db.deadLetters();
    await db.retry(letter?.id ?? 0);
    await sync(db, gateway);
    const { n, s } = await cellsOf(db) ?? {};
    assert.deepEqual([n, s], [7, ["mine", "x"]]);
  });
});

Deno.test("two INSERTs of one row add up, and a NULL among them writes nothing", async () => {
  await withLocal(async (db, gateway) => {
    await db.exec(`INSERT INTO t (id, n, s, high, low) VALUES ('a', 2, '[]', NULL, NULL)`);
    other(gateway, "INSERT", { n: 5, s: ["x"], high: 7, low: "2026-01-01T00:00:00Z" });
    await pull(db, gateway);
    const expected = { n: 7, s: ["x"], high: 7, low: "2026-01-01T00:00:00Z" };
    assert.deepEqual(await cellsOf(db), { id: "a", a: null, ...expected });
    await sync(db, gateway);
    assert.deepEqual(await cellsOf(db), { id: "a", a: null, ...expected });
  });
});

Deno.test("a counter at 0 and a set without elements come back as they were written", async () => {
  await withClients(2, async ([db, second], gateway) => {
    assert.ok(db !== undefined && second !== undefined);
    await db.exec("INSERT INTO t (id, n, s) VALUES ('a', 0, '[]')");
    await sync(db, gateway);
    await sync(second, gateway);
    for (const client of [db, second]) {
      assert.deepEqual(await cellsOf(client), {
        id: "a",
        n: 0,
        s: [],
        high: null,
        low: null,
        a: null,
      });
    }
  });
});

Deno.test("a smaller value in a max column shows until the overlay is computed again", async () => {
  await withLocal(async (db, gateway) => {
    other(gateway, "INSERT", { high: 5, low: "2026-01-02T00:00:00Z" });
    await pull(db, gateway);
    await db.exec("UPDATE t SET high = 3, low = '2026-01-03T00:00:00Z'");
    assert.equal((await cellsOf(db))?.["high"], 3);
    other(gateway, "UPDATE", { a: "x" });
    await pull(db, gateway);
    const { high, low } = await cellsOf(db) ?? {};
    assert.deepEqual([high, low], [5, "2026-01-02T00:00:00Z"]);
    await sync(db, gateway);
    assert.equal((await cellsOf(db))?.["high"], 5);
    assert.deepEqual(gateway.visible().get(rowName("t", "a"))?.["high"], 5);
  });
});

Deno.test("a moved row and a replaced row begin anew, for everybody", async () => {
  await withClients(2, async ([db, second], gateway) => {
    assert.ok(db !== undefined && second !== undefined);
    await db.exec("INSERT INTO t (id, n) VALUES ('a', 5), ('b', 5)");
    await sync(db, gateway);
    await sync(second, gateway);
    await second.exec("UPDATE t SET n = n + 100");
    await db.exec("UPDATE t SET id = 'c', n = n + 1 WHERE id = 'a'");
    await db.exec("INSERT OR REPLACE INTO t (id, n) VALUES ('b', 7)");
    await sync(second, gateway);
    await sync(db, gateway);
    await sync(second, gateway);
    for (const client of [db, second]) {
      const rows = await client.query("SELECT id, n FROM t ORDER BY id");
      assert.deepEqual(rows, [{ id: "b", n: 7 }, { id: "c", n: 6 }]);
    }
  });
});

Deno.test("G13: increments that a restored gateway forgot count once when they are given back", async () => {
  await withLocal(async (db, gateway) => {
    other(gateway, "INSERT", { n: 1, s: ["x"] });
    await sync(db, gateway);
    const backup = gateway.backup();
    await db.exec(`UPDATE t SET n = n + 10, s = '["y"]'`);
    await sync(db, gateway);
    await db.exec("UPDATE t SET n = n + 100");
    gateway.restore(backup);
    await db.resync();
    await pull(db, gateway);
    assert.deepEqual([(await cellsOf(db))?.["n"], (await cellsOf(db))?.["s"]], [111, ["y"]]);
    const { clientId } = await db.state();
    const from = gateway.lastOf(clientId);
    const batch = await db.nextBatch({ mutationId: from, part: 0 }, WIDE);
    await db.pushed(gateway.push(clientId, batch?.transactions ?? []));
    await pull(db, gateway);
    assert.deepEqual([(await cellsOf(db))?.["n"], (await cellsOf(db))?.["s"]], [111, ["y"]]);
  });
});

Deno.test("a counter whose sum leaves 64 bits stays within them, and finds back", async () => {
  await withLocal(async (db, gateway) => {
    const high = 2n ** 63n - 1n;
    other(gateway, "INSERT", { n: { add: (high - 5n).toString() } });
    await pull(db, gateway);
    await db.exec("UPDATE t SET n = n + 5");
    other(gateway, "UPDATE", { n: { add: 3 } });
    await pull(db, gateway);
    assert.equal((await cellsOf(db))?.["n"], high);
    await db.exec("UPDATE t SET n = n - 10");
    await sync(db, gateway);
    assert.equal((await cellsOf(db))?.["n"], high - 7n);
  });
});

const CLIENTS = 3;
const client = fc.nat(CLIENTS - 1);
const step = fc.oneof(
  fc.record({
    do: fc.constant("add" as const),
    client,
    by: fc.array(fc.constantFrom(-7n, 1n, 3n, 2n ** 55n), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ do: fc.constant("toggle" as const), client, on: fc.boolean() }),
  fc.record({ do: fc.constant("extreme" as const), client, value: fc.nat(1_000) }),
  fc.record({ do: fc.constant("push" as const), client, refuse: fc.boolean(), lost: fc.boolean() }),
  fc.record({ do: fc.constant("pull" as const), client }),
);

/** What the one row must come to, from what the clients did and the gateway accepted. */
class Expected {
  n = 0n;
  high = 0;
  readonly elements = new Set<string>();
}

type Effect = (expected: Expected) => void;

Deno.test("G3: increments, own elements and greatest values of several clients come out exactly", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      await withClients(CLIENTS, async (clients, gateway) => {
        const expected = new Expected();
        other(gateway, "INSERT", { n: 0, s: [], high: 0 });
        const effects = clients.map((): Effect[] => []);
        const bases = clients.map(() => gateway.visible());
        const pulls = async (i: number) => {
          await pull(clients[i] as Local, gateway);
          bases[i] = gateway.visible();
        };
        const pushes = async (i: number, refuse: boolean, lost: boolean) => {
          const db = clients[i] as Local;
          const { clientId, highestMutationId } = await db.state();
          const last = gateway.lastOf(clientId);
          const result = await push(db, gateway, refuse ? [highestMutationId] : []);
          const accepted = effects[i]?.slice(last, gateway.lastOf(clientId)) ?? [];
          const isRefused = result.rejected.some(({ mutationId }) =>
            mutationId === highestMutationId && mutationId > last
          );
          for (const effect of isRefused ? accepted.slice(0, -1) : accepted) effect(expected);
          if (!lost) await db.pushed(result);
        };
        const check = async (i: number) => {
          const db = clients[i] as Local;
          const { lastMutationId } = await db.state();
          const pending = await db.nextBatch({ mutationId: lastMutationId, part: 0 }, WIDE);
          const rows = layOver(bases[i] ?? new Map(), pending?.transactions ?? [], parsed);
          const { n, s, high } = await cellsOf(db) ?? {};
          const row = rows.get(rowName("t", "a"));
          assert.deepEqual([n, high], [row?.["n"], row?.["high"]]);
          assert.deepEqual((s as string[]).toSorted(), row?.["s"]);
        };
        for (let i = 0; i < CLIENTS; i++) await pulls(i);
        for (const step of steps) {
          const { client: i } = step;
          const db = clients[i] as Local;
          if (step.do === "pull") await pulls(i);
          else if (step.do === "push") await pushes(i, step.refuse, step.lost);
          else {
            let effect: Effect;
            if (step.do === "add") {
              await db.transaction(async (tx) => {
                for (const by of step.by) await tx.exec("UPDATE t SET n = n + ?", [by]);
              });
              effect = (expected) => step.by.forEach((by) => expected.n += by);
            } else if (step.do === "toggle") {
              const element = `of ${i}`;
              const [{ on } = { on: null }] = await db.query(
                "SELECT EXISTS (SELECT 1 FROM t, json_each(s) WHERE value = ?) AS 'on' FROM t",
                [element],
              );
              if ((on === 1) === step.on) continue;
              await db.exec(
                step.on ? "UPDATE t SET s = json_insert(s, '$[#]', ?)" : `UPDATE t SET s =
                      (SELECT json_group_array(value) FROM json_each(s) WHERE value <> ?)`,
                [element],
              );
              effect = ({ elements }) =>
                void (step.on ? elements.add(element) : elements.delete(element));
            } else {
              const { highestMutationId } = await db.state();
              await db.exec("UPDATE t SET high = max(high, ?)", [step.value]);
              if ((await db.state()).highestMutationId === highestMutationId) continue;
              effect = (expected) => void (expected.high = Math.max(expected.high, step.value));
            }
            effects[i]?.push(effect);
          }
          await check(i);
        }
        for (let i = 0; i < CLIENTS; i++) await pushes(i, false, false);
        for (let i = 0; i < CLIENTS; i++) {
          await pulls(i);
          await check(i);
          const { n, s, high } = await cellsOf(clients[i] as Local) ?? {};
          assert.equal(BigInt(n as number | bigint), expected.n);
          assert.deepEqual(s, [...expected.elements].sort());
          assert.equal(high, expected.high);
        }
      });
    }),
    { numRuns: 60, endOnFailure: false },
  );
});
