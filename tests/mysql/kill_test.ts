import assert from "node:assert/strict";
import { type Change, DestinationError, type FlushBatch, memoryAdapter } from "@lakesync/adapters";
import type { SchemaSpec } from "@lakesync/core";
import { allChanges, allRows, stored } from "../conformance/expect.ts";
import type { Written } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";

const ROUNDS = 8;
const BATCHES = 6;
const ROWS = 600;

const SPEC: SchemaSpec = {
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        list: { type: "string", references: "lists" },
        up: { type: "integer", references: "todos" },
        n: "integer",
      },
    },
  },
};

/** Changes of a batch: new rows, changed ones and deleted ones. */
function written(batch: number): readonly Written[] {
  return Array.from({ length: ROWS }, (_, i): Written => {
    const rowId = `${(batch * 331 + i * 7) % 1_500}`;
    if (i % 11 === 0) return { op: "DELETE", table: "todos", rowId };
    if (i % 5 === 0) return { op: "INSERT", table: "lists", rowId: `l${rowId}` };
    const cells = {
      n: batch * ROWS + i,
      up: i % 3 === 0 ? Number(rowId) : null,
      list: i % 4 === 0 ? "l0" : null,
    };
    return { op: "UPDATE", table: "todos", rowId, cells };
  });
}

databaseTest("mariadb", "G10: a server that is killed in a flush has it all, once", async ({
  server,
}) => {
  const url = await server.createDatabase();
  let kills = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const name = new URL(url).pathname.slice(1);
    await using bed = new Bed(url, SPEC, { connectionTimeoutMs: 5_000 });
    await bed.rows(`DROP DATABASE \`${name}\``);
    await bed.rows(`CREATE DATABASE \`${name}\``);
    await bed.rows(`USE \`${name}\``);
    await bed.log.begin();
    const batches: FlushBatch[] = [];
    const all: Change[] = [];
    let from = await bed.adapter.position();
    for (let i = 0; i < BATCHES; i++) {
      const changes = bed.log.commit(...written(i));
      const to = bed.log.at({ seq: bed.log.seq });
      batches.push({ from, to, rows: [], changes, isWhole: true });
      all.push(...changes);
      from = to;
    }
    // Somewhere in the first batches, another place each round.
    let restarted: Promise<void> | undefined;
    const timer = setTimeout(() => {
      kills++;
      restarted = server.kill("SIGKILL").then(() => server.restart());
    }, 5 + round * 23);
    let failures = 0;
    for (let at = 0; at < batches.length;) {
      const batch = batches[at];
      assert.ok(batch !== undefined);
      try {
        await bed.adapter.insertDeltas(batch);
        at++;
      } catch (error) {
        assert.ok(error instanceof DestinationError && error.retry !== "stop", String(error));
        assert.ok(++failures < 1_000);
        const position = await standing(bed);
        at = batches.findIndex((each) => each.to.seq > position);
        if (at < 0) break;
      }
    }
    clearTimeout(timer);
    await restarted;
    const oracle = memoryAdapter();
    await oracle.insertDeltas({
      from: undefined,
      to: batches[0]?.from ?? bed.log.at({ seq: 0 }),
      rows: [],
      changes: [],
      isWhole: true,
    });
    for (const batch of batches) await oracle.insertDeltas(batch);
    assert.deepEqual(await allRows(bed.adapter), await allRows(oracle));
    assert.deepEqual(await allChanges(bed.adapter), all.map(stored));
    await check(url, round);
  }
  assert.ok(kills >= ROUNDS / 2, `${kills} kills`);
}, { own: {} });

/** Where the adapter stands, once the server is back. */
async function standing({ adapter }: Bed): Promise<number> {
  for (let tries = 0;; tries++) {
    try {
      return (await adapter.position())?.seq ?? 0;
    } catch (error) {
      assert.ok(error instanceof DestinationError && error.retry === "later", String(error));
      assert.ok(tries < 600);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The tables are what the rows say that are kept, but for those with problems. */
async function check(url: string, round: number): Promise<void> {
  await using bed = new Bed(url, SPEC);
  const problems = await bed.adapter.problems(10_000);
  const waiting = new Set(problems.map(({ table, key }) => `${table}/${key.rowId}`));
  const seen = (await allRows(bed.adapter)).filter(({ isVisible, key }) =>
    isVisible && !waiting.has(`${key.table === 1 ? "lists" : "todos"}/${key.rowId}`)
  );
  const expected = seen.filter(({ key }) => key.table === 2).map(({ key, cells }) => {
    const values = new Map(cells.map(([column, value]) => [column, value]));
    return [Number(key.rowId), values.get(2) ?? null, values.get(3) ?? null, values.get(4) ?? null];
  });
  const found = await bed.rows("SELECT id, list, up, n FROM todos ORDER BY CAST(id AS CHAR)");
  assert.deepEqual(
    found.map(({ id, list, up, n }) => [
      Number(id),
      list,
      up === null ? null : Number(up),
      n === null ? null : Number(n),
    ]),
    expected,
    `round ${round}`,
  );
  const lists = await bed.rows("SELECT COUNT(*) AS n FROM lists");
  assert.equal(Number(lists[0]?.n), seen.filter(({ key }) => key.table === 1).length);
}
