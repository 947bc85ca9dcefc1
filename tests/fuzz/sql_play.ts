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
import { MemoryGateway, WIDE, withFolder } from "../../client/testing_local.ts";
import { writtenMisfit } from "../../core/merge_written.ts";
import { comparableRows, fold, readRows, type Rows } from "./sql_fold.ts";
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

/**
 * A STRICT table refused a value. Plain SQLite then keeps the rows before it, inside a transaction
 * by OR IGNORE and OR REPLACE, which it does not say; with triggers it undoes them as it says.
 */
const STRICT_REFUSAL = /^cannot store /;

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

/** Why a gateway refuses a change, and whether only the gateway can tell. */
function misfit(
  { shape, rowId, values }: Delta,
  schema: Schema,
): { readonly why: string; readonly later: boolean } | undefined {
  const table = schema.tables.get(shape.table);
  assert.ok(table !== undefined);
  const key = keyOf(table, rowId);
  if (typeof key === "string") {
    return { why: key, later: table.primaryKey.some(({ type }) => JUDGED_LATER.test(type)) };
  }
  for (const [i, name] of shape.columns.entries()) {
    const column = table.byName.get(name);
    assert.ok(column !== undefined);
    const value = values[i] ?? null;
    const why = value === null ? undefined : writtenMisfit(column, shape.op, value);
    if (why === undefined) continue;
    return { why, later: column.merge !== "set" && JUDGED_LATER.test(column.type) };
  }
  return undefined;
}

/** What a gateway that took all of it would send back, and how the client's tables are then. */
async function syncAll(
  client: AnyLocalDatabase,
  writer: SqliteConnection,
  schema: Schema,
): Promise<void> {
  const gateway = new MemoryGateway(schema);
  const { clientId } = await client.state();
  for (let at = 0;;) {
    const batch = await client.nextBatch({ mutationId: at, part: 0 }, WIDE);
    if (batch === undefined) break;
    at = batch.next.mutationId;
    const refused = new Set(
      batch.transactions.filter(({ deltas }) => deltas.some((delta) => misfit(delta, schema)))
        .map(({ mutationId }) => mutationId),
    );
    await client.pushed(gateway.push(clientId, batch.transactions, (id) => refused.has(id)));
  }
  for (const page of gateway.pull(clientId, undefined)) await client.receive(page);
  const blocked = await client.blockedRows();
  const [there, here] = [comparableRows(gateway.visible(), schema), await readRows(writer, schema)];
  for (const { table, rowId } of blocked) {
    there.delete(`${table} ${rowId}`);
    here.delete(`${table} ${rowId}`);
  }
  assert.deepEqual(here, there, "After a checkpoint");
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

  /**
   * Runs a statement on both; on the client alone when that refuses it.
   *
   * @returns whether both are still to be alike
   */
  async #both(client: Transacted, statement: Statement): Promise<boolean> {
    const there = await outcomeOf(() => run(client, statement));
    if ("error" in there && REFUSAL.test(there.error)) return true;
    const here = await outcomeOf(() => run(transacted(this.#plain), statement));
    assert.deepEqual(there, here, statement.sql);
    return !("error" in there && STRICT_REFUSAL.test(there.error));
  }

  async #statement(statement: Statement): Promise<void> {
    if (await this.#both(this.#client, statement)) return;
    if (!this.#writer.inTransaction) return;
    await this.#client.exec("ROLLBACK");
    await this.#plain.script("ROLLBACK");
  }

  async #transaction({ statements, fails }: Extract<Step, { do: "transaction" }>): Promise<void> {
    if (this.#writer.inTransaction) return;
    await this.#plain.script("BEGIN IMMEDIATE");
    const there = await outcomeOf(() =>
      this.#client.transaction(async (tx) => {
        for (const statement of statements) {
          const alike = await this.#both(tx, statement);
          if (!alike || !this.#writer.inTransaction) throw new Error("It was rolled back");
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
    if ("error" in there && (REFUSAL.test(there.error) || STRICT_REFUSAL.test(there.error))) {
      return false;
    }
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
    else await this.#statement(step.statement);
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

  /** Ends what is open, then syncs. */
  async end(): Promise<void> {
    if (this.#writer.inTransaction) await this.#client.exec("ROLLBACK");
    await syncAll(this.#client, this.#writer, this.#schema);
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
      for (const delta of deltas) {
        const reason = misfit(delta, this.#schema);
        assert.ok(reason === undefined || reason.later, JSON.stringify(reason));
      }
    }
    const push = { clientId: "c", schemaVersion: 1, transactions: captured };
    const sent = encodePush(push);
    assert.deepEqual(encodePush(decodePush(sent)), sent);
    fold(this.#rows, captured, this.#schema);
    assert.deepEqual(this.#rows, await readRows(this.#writer, this.#schema));
  }
}

async function copyTables(from: SqliteConnection): Promise<SqliteConnection> {
  const plain = await (await loadDriver()).open(":memory:");
  await plain.script("PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON");
  const made = await from.values(
    `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index')
       AND name NOT GLOB '_lakesync_*' AND name NOT GLOB 'sqlite_*'
       AND tbl_name NOT GLOB '_lakesync_*' ORDER BY rowid`,
  );
  for (const [sql] of made) await plain.script(String(sql));
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
      const plain = await copyTables(driver.writer);
      try {
        const play = new Play(parseSchema(world.schema), client, driver.writer, plain);
        for (const step of steps) {
          if (!await play.take(step)) return;
          await play.check(step.do === "script" ? 4 : 1);
        }
        await play.end();
      } finally {
        await plain.close();
      }
    } finally {
      await client.close();
    }
  });
}
