/**
 * The local database against a model: whatever the app writes, the gateway sends or refuses, and
 * wherever it crashes, the app sees base + pending writes.
 */

import {
  defineSchema,
  type Delta,
  type Hlc,
  type JsonValue,
  parseSchema,
  rowIdOf,
  toInteger,
  toPlainJson,
  type Value,
} from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { toValue } from "./convert.ts";
import { type AnyLocalDatabase, type LocalDatabase, openLocal } from "./local.ts";
import {
  type Cells,
  CrashingDriver,
  layOver,
  MemoryGateway,
  rowName,
  type Rows,
  WIDE,
  withFolder,
} from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    items: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        a: "string",
        b: "integer",
        c: "boolean",
        hits: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        top: { type: "integer", merge: "max" },
        low: { type: "date", merge: "min" },
      },
    },
    links: {
      primaryKey: ["x", "y"],
      columns: { x: "string", y: "integer", v: "string", item: "string" },
    },
  },
});

const APP_TABLES = `
CREATE TABLE items (id TEXT PRIMARY KEY, a TEXT, b INTEGER, c INTEGER,
  hits INTEGER, tags TEXT, top INTEGER, low TEXT);
CREATE TABLE links (x TEXT, y INTEGER, v TEXT,
  item TEXT REFERENCES items (id) ON DELETE SET NULL ON UPDATE CASCADE,
  PRIMARY KEY (x, y)) WITHOUT ROWID;
CREATE TRIGGER app_touch AFTER UPDATE OF a ON items WHEN NEW.b IS OLD.b
  BEGIN UPDATE items SET b = coalesce(b, 0) + 1, hits = coalesce(hits, 0) + 10
    WHERE id = NEW.id; END;
`;

const id = fc.constantFrom("i1", "i2", "i3");
const word = fc.constantFrom("red", "green", "é😀", "");
const small = fc.integer({ min: 0, max: 3 });
const increment = fc.constantFrom(-3n, 1n, 5n, 2n ** 53n);
const day = small.map((n) => `2026-01-0${n + 1}`);
const element = fc.constantFrom<string | number | boolean>("x", "1", 1, 0.1, true, 'é😀"');
const elements = fc.uniqueArray(element, { maxLength: 3 });
const array = elements.map((list) => `'${JSON.stringify(list)}'`);

/** A statement of the app. */
const statement = fc.oneof(
  fc.tuple(id, word).map(([i, w]) =>
    `INSERT OR REPLACE INTO items (id, a) VALUES ('${i}', '${w}')`
  ),
  fc.tuple(id, small).map(([i, n]) =>
    `INSERT INTO items (id, b) VALUES ('${i}', ${n}) ON CONFLICT DO UPDATE SET b = excluded.b`
  ),
  fc.tuple(id, word).map(([i, w]) => `UPDATE items SET a = '${w}' WHERE id = '${i}'`),
  fc.tuple(id, id).map(([i, j]) => `UPDATE OR IGNORE items SET id = '${j}' WHERE id = '${i}'`),
  fc.constant("UPDATE items SET c = NOT coalesce(c, 0)"),
  id.map((i) => `DELETE FROM items WHERE id = '${i}'`),
  fc.tuple(id, increment).map(([i, n]) =>
    `INSERT INTO items (id, hits) VALUES ('${i}', ${n})
     ON CONFLICT DO UPDATE SET hits = coalesce(hits, 0) + excluded.hits`
  ),
  increment.map((n) => `UPDATE items SET hits = hits + ${n}, b = 0`),
  fc.tuple(id, small).map(([i, n]) => `UPDATE items SET hits = ${n} WHERE id = '${i}'`),
  fc.tuple(id, array).map(([i, list]) =>
    `INSERT INTO items (id, tags) VALUES ('${i}', ${list})
     ON CONFLICT DO UPDATE SET tags = excluded.tags`
  ),
  fc.tuple(id, array).map(([i, list]) =>
    `INSERT OR REPLACE INTO items (id, hits, tags) VALUES ('${i}', 7, ${list})`
  ),
  fc.tuple(id, small, day).map(([i, n, d]) =>
    `UPDATE items SET top = max(coalesce(top, ${n}), ${n}), low = min(coalesce(low, '${d}'), '${d}')
     WHERE id = '${i}'`
  ),
  fc.tuple(word, small, id).map(([w, n, i]) =>
    `INSERT OR IGNORE INTO links VALUES ('${w}', ${n}, 'new', (SELECT id FROM items WHERE id = '${i}'))`
  ),
  small.map((n) => `UPDATE links SET v = x || y, y = y + ${n} WHERE y = 1`),
  small.map((n) => `DELETE FROM links WHERE y = ${n}`),
);

type Step =
  | { readonly do: "write"; readonly sql: readonly string[]; readonly undo: boolean }
  | { readonly do: "push"; readonly refuse: readonly number[]; readonly lost: boolean }
  | {
    readonly do: "other";
    readonly op: "INSERT" | "UPDATE" | "DELETE";
    readonly id: string;
    readonly a: string;
    readonly hits: bigint;
    readonly add: readonly JsonValue[];
    readonly remove: readonly JsonValue[];
    readonly top: number;
    readonly low: string;
  }
  | { readonly do: "pull"; readonly pageRows: number; readonly crashAfter: number | undefined }
  | { readonly do: "resync" }
  | { readonly do: "reopen" }
  | { readonly do: "backup" }
  | { readonly do: "restore" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      sql: fc.array(statement, { minLength: 1, maxLength: 4 }),
      undo: fc.nat(9).map((n) => n === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("push" as const),
      refuse: fc.array(fc.nat(3), { maxLength: 2 }),
      lost: fc.nat(3).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("other" as const),
      op: fc.constantFrom("INSERT" as const, "UPDATE" as const, "DELETE" as const),
      id,
      a: word,
      hits: increment,
      add: elements,
      remove: elements,
      top: small,
      low: day,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("pull" as const),
      pageRows: fc.constantFrom(1, 2, 100),
      crashAfter: fc.option(fc.nat(60), { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "resync" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "reopen" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "backup" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "restore" as const }) },
);

const parsed = parseSchema(SCHEMA);

async function visibleRows(db: AnyLocalDatabase): Promise<Rows> {
  const rows = new Map<string, Cells>();
  for (const table of parsed.tables.values()) {
    for (const row of await db.query(`SELECT * FROM ${table.name}`)) {
      const key = table.primaryKey.map(({ name }) => row[name] ?? null);
      rows.set(
        rowName(table.name, rowIdOf(table, key)),
        Object.fromEntries(
          table.columns.filter(({ key }) => !key).map(({ name, type }) => [
            name,
            toValue(row[name] ?? null, type),
          ]),
        ),
      );
    }
  }
  return rows;
}

/** The order in which the app wrote a set's elements does not matter. */
function sorted(list: Value): unknown {
  return (list as readonly JsonValue[]).map((element) => JSON.stringify(element)).sort();
}

function comparable(rows: Rows): unknown {
  return [...rows].map(([name, cells]) => [
    name,
    Object.entries(cells).filter(([, value]) => value !== null)
      .map(([column, value]) => [column, column === "tags" ? sorted(value) : value]).sort(),
  ]).sort();
}

/** The client under test, its gateway, and what the model knows of both. */
class Run {
  readonly gateway = new MemoryGateway(parsed);
  readonly #folder: string;
  #files = 0;
  #path: string;
  #driver = new CrashingDriver();
  #db: LocalDatabase<typeof SCHEMA> | undefined;
  #base: Rows = new Map();
  #backup = this.gateway.backup();
  #others = 0n;

  constructor(folder: string) {
    this.#folder = folder;
    this.#path = `${folder}/0.db`;
  }

  get db(): LocalDatabase<typeof SCHEMA> {
    assert.ok(this.#db !== undefined);
    return this.#db;
  }

  async open(): Promise<void> {
    const app = new DatabaseSync(this.#path);
    app.exec(APP_TABLES);
    app.close();
    await this.reopen();
  }

  async reopen(): Promise<void> {
    this.#driver = new CrashingDriver();
    this.#db = await openLocal({
      database: this.#path,
      schema: SCHEMA,
      driver: this.#driver,
      watchMs: 0,
    });
  }

  /** Closes the files, as a crash of the process would, and goes on with what is on the disk. */
  async #afterCrash(path: string): Promise<void> {
    await this.db.close().catch(() => {});
    this.#path = path;
    await this.reopen();
  }

  #nextPath(): string {
    return `${this.#folder}/${++this.#files}.db`;
  }

  async #write({ sql, undo }: Extract<Step, { do: "write" }>): Promise<void> {
    await this.db.transaction(async (tx) => {
      for (const text of sql) await tx.exec(text);
      if (undo) throw new Error("Undone on purpose");
    }).catch((error) => {
      assert.match(String(error), /on purpose|UNIQUE|FOREIGN/);
    });
  }

  async #push({ refuse, lost }: Extract<Step, { do: "push" }>): Promise<void> {
    const { clientId, settledMutationId, highestMutationId } = await this.db.state();
    const from = Math.min(settledMutationId, this.gateway.lastOf(clientId));
    const batch = await this.db.nextBatch({ mutationId: from, part: 0 }, WIDE);
    const refused = new Set(refuse.map((n) => highestMutationId - n));
    const result = this.gateway.push(
      clientId,
      batch?.transactions ?? [],
      (mutationId) => refused.has(mutationId),
    );
    if (!lost) await this.db.pushed(result);
  }

  #other({ op, id, a, hits, add, remove, top, low }: Extract<Step, { do: "other" }>): void {
    this.#others++;
    const now = BigInt(Date.now()) << 16n;
    const hlc = (now > this.gateway.hlc ? now : this.gateway.hlc + 1n) as Hlc;
    const columns = op === "DELETE" ? [] : ["a", "b", "hits", "tags", "top", "low"];
    const increment = { add: toPlainJson(toInteger(hits)) };
    const values = op === "DELETE"
      ? []
      : [a, Number(this.#others), increment, { add, remove }, top, low];
    const delta: Delta = {
      shape: { op, table: "items", columns },
      rowId: id,
      hlc,
      values,
      deltaId: undefined,
    };
    this.gateway.write("other", [delta]);
  }

  async #pull({ pageRows, crashAfter }: Extract<Step, { do: "pull" }>): Promise<void> {
    const { clientId, cursor } = await this.db.state();
    const known = cursor?.startsWith("staged") ? undefined : cursor;
    if (cursor !== known) await this.db.resync();
    const pages = this.gateway.pull(clientId, known, pageRows);
    this.#driver.left = crashAfter;
    this.#driver.copyTo = this.#nextPath();
    try {
      for (const page of pages) await this.db.receive(page);
      this.#base = this.gateway.visible();
      this.#driver.left = undefined;
    } catch (error) {
      if (!this.#driver.crashed) throw error;
      await this.#afterCrash(this.#driver.copyTo);
      const after = await this.db.state();
      if (after.cursor === pages.at(-1)?.cursor) this.#base = this.gateway.visible();
    }
  }

  async #restore(): Promise<void> {
    this.gateway.restore(this.#backup);
    await this.db.resync();
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "write":
        return await this.#write(step);
      case "push":
        return await this.#push(step);
      case "other":
        return this.#other(step);
      case "pull":
        return await this.#pull(step);
      case "resync":
        return await this.db.resync();
      case "reopen":
        await this.db.close();
        return await this.reopen();
      case "backup":
        this.#backup = this.gateway.backup();
        return;
      case "restore":
        return await this.#restore();
    }
  }

  async check(): Promise<void> {
    const { lastMutationId } = await this.db.state();
    const pending = await this.db.nextBatch({ mutationId: lastMutationId, part: 0 }, WIDE);
    const expected = layOver(this.#base, pending?.transactions ?? [], parsed);
    assert.deepEqual(comparable(await visibleRows(this.db)), comparable(expected));
  }
}

Deno.test("G5 G6: the app sees base + pending, whatever happens and wherever it crashes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await withFolder(async (folder) => {
        const run = new Run(folder);
        await run.open();
        try {
          for (const step of steps) {
            await run.take(step);
            await run.check();
          }
          await run.take({ do: "push", refuse: [], lost: false });
          await run.take({ do: "pull", pageRows: 100, crashAfter: undefined });
          await run.check();
          assert.deepEqual(
            comparable(await visibleRows(run.db)),
            comparable(run.gateway.visible()),
          );
        } finally {
          await run.db.close();
        }
      });
    }),
    { numRuns: 60, endOnFailure: false },
  );
});
