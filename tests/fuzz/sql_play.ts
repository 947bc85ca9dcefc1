/**
 * Plays a random app on a client's database and on a plain SQLite beside it. The app must see the
 * same of both, and what the client captured must make its tables again.
 *
 * @module
 */

import {
  decodePush,
  type Delta,
  encodePush,
  keyOf,
  parseSchema,
  type Schema,
  type Transaction,
} from "@lakesync/core";
import assert from "node:assert/strict";
import type { Transacted } from "../../client/app_sql.ts";
import type { SqliteConnection, SqliteDriver, SqlValue } from "../../client/database/driver.ts";
import { loadDriver } from "../../client/database/open.ts";
import { type AnyLocalDatabase, openLocal } from "../../client/local.ts";
import { WIDE, withFolder } from "../../client/testing_local.ts";
import { writtenMisfit } from "../../core/merge_written.ts";
import { fold, readRows, type Rows } from "./sql_fold.ts";
import type { Statement, Step } from "./sql_statements.ts";
import { quoted } from "./sql_tables.ts";
import type { World } from "./sql_world.ts";

/** What a statement came to. */
type Outcome = { readonly error: string } | { readonly gave: unknown };

/**
 * The client refused a value that could never reach the gateway, where plain SQLite takes any; or
 * it has a temporary table and the plain one none.
 */
const REFUSAL = /^LakeSync: |^temporary storage cannot be changed/;

/** Where in the text an error is; a binding may know or not. */
const PLACE = / in [^]* at offset \d+$/;

/** Values that only the gateway judges to the end (client/checks.ts). */
const JUDGED_LATER = /^(decimal|json)/;

function text(cell: SqlValue): string {
  return cell instanceof Uint8Array ? `x'${cell.toHex()}'` : `${typeof cell} ${cell}`;
}

async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { gave: await work() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { error: error.message.replace(PLACE, "") };
  }
}

async function run(db: Transacted, { kind, sql }: Statement): Promise<unknown> {
  if (kind === "rows") return (await db.query(sql)).map((row) => Object.entries(row));
  const { changes, lastInsertRowid } = await db.exec(sql);
  if (kind === "control") return undefined;
  return kind === "insert" ? { changes, lastInsertRowid } : { changes };
}

/** Plain SQLite in the form of a client's database. */
function transacted(db: SqliteConnection): Transacted {
  return {
    query: (sql) => db.all(sql),
    async exec(sql) {
      if (!/^(CREATE TRIGGER|BEGIN;)/.test(sql)) return await db.run(sql);
      await db.script(sql);
      return { changes: 0, lastInsertRowid: 0 };
    },
  };
}

/** A driver whose first connection, the writer, finds the app's tables. */
class AppDriver implements SqliteDriver {
  readonly #world: World;
  writer: SqliteConnection | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async open(path: string): Promise<SqliteConnection> {
    const connection = await (await loadDriver()).open(path);
    if (this.writer !== undefined) return connection;
    this.writer = connection;
    for (const sql of this.#world.ddl) await connection.script(sql);
    return connection;
  }
}

/** A client's database and the plain one. */
class Play {
  readonly #schema: Schema;
  readonly #client: AnyLocalDatabase;
  readonly #writer: SqliteConnection;
  readonly #plain: SqliteConnection;
  readonly #rows: Rows = new Map();
  #last = 0;

  constructor(
    schema: Schema,
    client: AnyLocalDatabase,
    writer: SqliteConnection,
    plain: SqliteConnection,
  ) {
    this.#schema = schema;
    this.#client = client;
    this.#writer = writer;
    this.#plain = plain;
  }

  /** Runs a statement on both; on the client alone when that refuses it. */
  async #both(client: Transacted, statement: Statement): Promise<boolean> {
    const there = await outcomeOf(() => run(client, statement));
    if ("error" in there && REFUSAL.test(there.error)) return false;
    const here = await outcomeOf(() => run(transacted(this.#plain), statement));
    assert.deepEqual(there, here, statement.sql);
    return true;
  }

  async #transaction({ statements, fails }: Extract<Step, { do: "transaction" }>): Promise<void> {
    if (this.#writer.inTransaction) return;
    await this.#plain.script("BEGIN IMMEDIATE");
    const there = await outcomeOf(() =>
      this.#client.transaction(async (tx) => {
        for (const statement of statements) {
          await this.#both(tx, statement);
          if (!this.#writer.inTransaction) throw new Error("It was rolled back");
        }
        if (fails) throw new Error("On purpose");
      })
    );
    if (!this.#plain.inTransaction) return;
    if ("error" in there && !/constraint failed/.test(there.error)) {
      assert.match(there.error, /On purpose|rolled back/);
      return await this.#plain.script("ROLLBACK");
    }
    const here = await outcomeOf(() => this.#plain.script("COMMIT"));
    assert.deepEqual({ error: undefined, ...there, gave: 0 }, {
      error: undefined,
      ...here,
      gave: 0,
    });
    if (this.#plain.inTransaction) await this.#plain.script("ROLLBACK");
  }

  /** @returns whether to go on: how far a script came that the client refused is not known */
  async #script(sql: string): Promise<boolean> {
    const there = await outcomeOf(() => this.#client.exec(sql));
    if ("error" in there && REFUSAL.test(there.error)) return false;
    const here = await outcomeOf(() => this.#plain.script(sql));
    assert.deepEqual({ error: undefined, ...there, gave: 0 }, {
      error: undefined,
      ...here,
      gave: 0,
    });
    return true;
  }

  /** @returns whether to go on */
  async take(step: Step): Promise<boolean> {
    if (step.do === "script") return await this.#script(step.sql);
    if (step.do === "transaction") await this.#transaction(step);
    else await this.#both(this.#client, step.statement);
    return true;
  }

  async #allOf(db: SqliteConnection): Promise<unknown> {
    const tables = await db.values(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_lakesync_*'",
    );
    const all: Record<string, string[]> = {};
    for (const [name, sql] of tables) {
      if (String(name).startsWith("sqlite_")) continue;
      const rowid = /WITHOUT ROWID/.test(String(sql)) ? "" : "rowid AS rowid_, ";
      const rows = await db.all(`SELECT ${rowid}* FROM ${quoted(String(name))}`);
      all[String(name)] = rows.map((row) => Object.values(row).map(text).join(" | ")).sort();
    }
    return all;
  }

  /** Takes what was captured since the last time. */
  async #captured(): Promise<Transaction[]> {
    const captured: Transaction[] = [];
    for (;;) {
      const batch = await this.#client.nextBatch({ mutationId: this.#last, part: 0 }, WIDE);
      if (batch === undefined) return captured;
      this.#last = batch.next.mutationId;
      captured.push(...batch.transactions);
    }
  }

  #checkDelta({ shape, rowId, values }: Delta): void {
    const table = this.#schema.tables.get(shape.table);
    assert.ok(table !== undefined);
    const isLater = table.primaryKey.some(({ type }) => JUDGED_LATER.test(type));
    const key = keyOf(table, rowId);
    if (!isLater) assert.ok(typeof key !== "string", `${key}: ${rowId}`);
    for (const [i, name] of shape.columns.entries()) {
      const column = table.byName.get(name);
      assert.ok(column !== undefined);
      const value = values[i] ?? null;
      if (value === null || (column.merge !== "set" && JUDGED_LATER.test(column.type))) continue;
      assert.equal(writtenMisfit(column, shape.op, value), undefined, `${name} ${values[i]}`);
    }
  }

  /** Compares everything. */
  async check(most: number): Promise<void> {
    assert.equal(this.#writer.inTransaction, this.#plain.inTransaction);
    assert.deepEqual(await this.#allOf(this.#writer), await this.#allOf(this.#plain));
    if (this.#writer.inTransaction) return;
    const captured = await this.#captured();
    assert.ok(captured.length <= most, `${captured.length} transactions of one`);
    for (const { deltas } of captured) {
      assert.ok(deltas.length > 0);
      for (const delta of deltas) this.#checkDelta(delta);
    }
    const push = { clientId: "c", schemaVersion: 1, transactions: captured };
    const sent = encodePush(push);
    assert.deepEqual(encodePush(decodePush(sent)), sent);
    fold(this.#rows, captured, this.#schema);
    assert.deepEqual(this.#rows, await readRows(this.#writer, this.#schema));
  }
}

async function copyTables(from: SqliteConnection, world: World): Promise<SqliteConnection> {
  const plain = await (await loadDriver()).open(":memory:");
  await plain.script("PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON");
  const made = await from.values(
    `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index')
       AND name NOT GLOB '_lakesync_*' AND name NOT GLOB 'sqlite_*'
       AND tbl_name NOT GLOB '_lakesync_*' ORDER BY rowid`,
  );
  for (const [sql] of made) await plain.script(String(sql));
  void world;
  return plain;
}

/**
 * Plays an app.
 *
 * @param world the app
 * @param steps what it does
 * @throws {Error} when the two databases differ, or the outbox from its database
 */
export async function play(world: World, steps: readonly Step[]): Promise<void> {
  await withFolder(async (folder) => {
    const driver = new AppDriver(world);
    const client = await openLocal({
      database: world.onDisk ? `${folder}/app.db` : ":memory:",
      schema: world.schema,
      driver,
      watchMs: 0,
    });
    try {
      assert.ok(driver.writer !== undefined);
      const plain = await copyTables(driver.writer, world);
      try {
        const play = new Play(parseSchema(world.schema), client, driver.writer, plain);
        for (const step of steps) {
          if (!await play.take(step)) return;
          await play.check(step.do === "script" ? 4 : 1);
        }
      } finally {
        await plain.close();
      }
    } finally {
      await client.close();
    }
  });
}
