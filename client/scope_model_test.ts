/**
 * A client's rows against a model of buckets: whatever is granted, revoked, moved, written here or
 * there, lost or changed behind its back, it holds exactly what its buckets show.
 */

import { defineSchema, type Hlc, parseSchema, rowIdOf, type Value } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { toValue } from "./convert.ts";
import { type LocalDatabase, openLocal } from "./local.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { type Cells, layOver, rowName, type Rows, WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    items: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", n: "integer", done: "boolean" },
    },
    links: {
      primaryKey: ["x", "y"],
      columns: { x: "string", y: "integer", title: "string", n: "integer" },
    },
  },
});
const PARSED = parseSchema(SCHEMA);

const PROJECTIONS = new Map([
  ["c", { items: ["title"] }],
  ["d", { items: ["title", "n"], links: ["title"] }],
]);

const bucket = fc.constantFrom("a", "b", "c", "d");
const buckets = fc.subarray(["a", "b", "c", "d"]);
const word = fc.constantFrom("red", "green", "é😀", null);
const small = fc.integer({ min: 0, max: 2 });
const ITEMS = ["i1", "i2", "i3", "i4"];
const LINKS = ['["l",1]', '["l",2]', '["m\\"",1]'];
const row = fc.oneof(
  fc.constantFrom(...ITEMS).map((rowId) => ({ table: "items", rowId })),
  fc.constantFrom(...LINKS).map((rowId) => ({ table: "links", rowId })),
);

type Step =
  | {
    readonly do: "put";
    readonly row: { readonly table: string; readonly rowId: string };
    readonly cells: Cells;
    readonly buckets: readonly string[];
  }
  | { readonly do: "remove"; readonly row: { readonly table: string; readonly rowId: string } }
  | { readonly do: "grant" | "revoke"; readonly bucket: string }
  | { readonly do: "write"; readonly sql: string }
  | { readonly do: "push"; readonly buckets: readonly string[] }
  | { readonly do: "drift"; readonly sql: string }
  | { readonly do: "pull" | "resync"; readonly pageRows: number; readonly loses: readonly string[] }
  | { readonly do: "verify" | "reopen" };

const item = fc.constantFrom(...ITEMS);
const write = fc.oneof(
  fc.tuple(item, small).map(([id, n]) => `UPDATE items SET n = ${n} WHERE id = '${id}'`),
  item.map((id) => `DELETE FROM items WHERE id = '${id}'`),
  item.map((id) => `INSERT OR REPLACE INTO items (id, title) VALUES ('${id}', 'mine')`),
  small.map((y) => `UPDATE links SET title = 'mine' WHERE y = ${y}`),
);

/** Changes behind the client's back, of rows without pending writes, in columns all buckets show. */
const drift = fc.oneof(
  item.map((id) => `UPDATE items SET title = 'drift' WHERE id = '${id}' AND id`),
  item.map((id) => `DELETE FROM items WHERE id = '${id}' AND id`),
  small.map((y) => `UPDATE links SET title = 'drift' WHERE y = ${y} AND json_array(x, y)`),
  item.map((id) =>
    `INSERT OR IGNORE INTO items (id, title) SELECT '${id}', 'ghost'
     WHERE EXISTS (SELECT 1 FROM _lakesync_home WHERE tbl = 1) AND '${id}'`
  ),
);
const NOT_PENDING = ` NOT IN (SELECT row_id FROM _lakesync_outbox
  WHERE n > (SELECT covered_n FROM _lakesync_clock))`;

const of = <K extends string>(kind: K) => fc.constant(kind);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: of("put"),
      row,
      cells: fc.record({ title: word, n: fc.option(small) }, { requiredKeys: [] }),
      buckets,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: of("remove"), row }) },
  { weight: 2, arbitrary: fc.record({ do: of("grant"), bucket }) },
  { weight: 1, arbitrary: fc.record({ do: of("revoke"), bucket }) },
  { weight: 2, arbitrary: fc.record({ do: of("write"), sql: write }) },
  { weight: 1, arbitrary: fc.record({ do: of("push"), buckets }) },
  { weight: 3, arbitrary: fc.record({ do: of("drift"), sql: drift }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("pull" as const, "pull", "pull", "pull", "pull", "resync"),
      pageRows: fc.constantFrom(1, 2, 100),
      loses: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, buckets),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: of("verify") }) },
  { weight: 1, arbitrary: fc.record({ do: of("reopen") }) },
);

/** The client under test and its gateway. */
class Run {
  readonly gateway = new BucketGateway(PROJECTIONS);
  readonly #path: string;
  #db: LocalDatabase<typeof SCHEMA> | undefined;
  #base: Rows = new Map();
  #drifted = false;
  /** How many repairs were needed. */
  repairs = 0;

  constructor(path: string) {
    this.#path = path;
  }

  get db(): LocalDatabase<typeof SCHEMA> {
    assert.ok(this.#db !== undefined);
    return this.#db;
  }

  async open(): Promise<void> {
    this.#db = await openLocal({ database: this.#path, schema: SCHEMA, watchMs: 0 });
  }

  /** Gives the client something to hold. */
  async begin(): Promise<void> {
    for (const id of ["a", "c"]) this.gateway.granted.add(id);
    for (const [i, id] of ITEMS.slice(1).entries()) {
      this.gateway.put("items", id, { title: id, n: i }, i === 0 ? ["a", "c"] : ["a"]);
    }
    for (const id of LINKS) this.gateway.put("links", id, { title: id, n: 1 }, ["c"]);
    await this.#pull(3);
  }

  async #pull(pageRows: number, loses: readonly string[] = []): Promise<void> {
    const { repair } = await this.db.state();
    for (const page of this.gateway.pull(repair, pageRows, loses)) await this.db.receive(page);
    const held = [...this.gateway.held()].map(([name, { cells }]) => [name, cells] as const);
    this.#base = new Map(held);
  }

  async #push(buckets: readonly string[]): Promise<void> {
    const after = { mutationId: this.gateway.lastMutationId, part: 0 };
    const batch = await this.db.nextBatch(after, WIDE);
    for (const { mutationId, deltas } of batch?.transactions ?? []) {
      for (const { shape, rowId, values } of deltas) {
        const { op, table, columns } = shape;
        const name = rowName(table, rowId);
        const old = this.gateway.rows.get(name);
        const written: Record<string, Value> = {};
        columns.forEach((column, i) => written[column] = values[i] ?? null);
        if (op === "DELETE") this.gateway.rows.delete(name);
        else if (old !== undefined) {
          this.gateway.put(table, rowId, { ...old.cells, ...written }, old.buckets);
        } else if (op === "INSERT") this.gateway.put(table, rowId, written, buckets);
      }
      this.gateway.lastMutationId = mutationId;
    }
    await this.db.pushed({
      lastMutationId: this.gateway.lastMutationId,
      rejected: [],
      seq: 1,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: 1n as Hlc,
    });
  }

  #drift(sql: string): void {
    const other = new DatabaseSync(this.#path);
    other.exec("BEGIN IMMEDIATE; UPDATE _lakesync_clock SET applying = 1");
    const { changes } = other.prepare(sql + NOT_PENDING).run();
    other.exec("UPDATE _lakesync_clock SET applying = 0; COMMIT");
    other.close();
    if (changes !== 0) this.#drifted = true;
  }

  async #verify(): Promise<void> {
    // A row that differs and moves to another bucket with the repair differs there then.
    for (let left = 2; (await this.db.verify())?.drifts.length; left--) {
      this.repairs++;
      assert.ok(this.#drifted, "it differs though nobody touched it");
      assert.ok(left > 0, "it differs after two repairs");
      await this.#pull(2);
    }
    const { cursor, repair } = await this.db.state();
    assert.deepEqual(repair, []);
    if (cursor !== undefined) this.#drifted = false;
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "put": {
        const { table, rowId } = step.row;
        const old = this.gateway.rows.get(rowName(table, rowId));
        return this.gateway.put(table, rowId, { ...old?.cells, ...step.cells }, step.buckets);
      }
      case "remove":
        return void this.gateway.rows.delete(rowName(step.row.table, step.row.rowId));
      case "grant":
        return void this.gateway.granted.add(step.bucket);
      case "revoke":
        return void this.gateway.granted.delete(step.bucket);
      case "write":
        return void await this.db.exec(step.sql);
      case "push":
        return await this.#push(step.buckets);
      case "drift":
        return this.#drift(step.sql);
      case "pull":
        return await this.#pull(step.pageRows, step.loses);
      case "verify":
        return await this.#verify();
      case "resync":
        await this.db.resync();
        this.gateway.forget();
        this.#drifted = false;
        return await this.#pull(step.pageRows, step.loses);
      case "reopen":
        await this.db.close();
        return await this.open();
    }
  }

  /** Asserts that the app sees base + pending, unless someone changed rows behind its back. */
  async check(): Promise<void> {
    if (this.#drifted) return;
    const { lastMutationId } = await this.db.state();
    const pending = await this.db.nextBatch({ mutationId: lastMutationId, part: 0 }, WIDE);
    const expected = layOver(this.#base, pending?.transactions ?? []);
    assert.deepEqual(comparable(await this.#visible()), comparable(expected));
  }

  async #visible(): Promise<Rows> {
    const rows = new Map<string, Cells>();
    for (const table of PARSED.tables.values()) {
      for (const row of await this.db.query(`SELECT * FROM ${table.name}`)) {
        const key = table.primaryKey.map(({ name }) => row[name] ?? null);
        const cells = table.columns.filter(({ key }) => !key)
          .map(({ name, type }) => [name, toValue(row[name] ?? null, type)]);
        rows.set(rowName(table.name, rowIdOf(table, key)), Object.fromEntries(cells));
      }
    }
    return rows;
  }
}

function comparable(rows: Rows): unknown {
  return [...rows].map(([name, cells]) => [
    name,
    Object.entries(cells).filter(([, value]) => value !== null).sort(),
  ]).sort();
}

Deno.test("G7 G9: a client holds exactly what its buckets show, and finds and repairs what differs", async () => {
  let repairs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      await withFolder(async (folder) => {
        const run = new Run(`${folder}/a.db`);
        await run.open();
        try {
          await run.begin();
          for (const step of steps) {
            await run.take(step);
            await run.check();
          }
          await run.take({ do: "pull", pageRows: 2, loses: [] });
          await run.take({ do: "verify" });
          await run.check();
          repairs += run.repairs;
        } finally {
          await run.db.close();
        }
      });
    }),
    { numRuns: 100, endOnFailure: false },
  );
  assert.ok(repairs > 20, `only ${repairs} repairs`);
});
