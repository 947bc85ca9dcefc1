/**
 * Plays a random app on a client's database and on a plain SQLite beside it. The app must see the
 * same of both, and what the client captured must make its tables again.
 *
 * @module
 */

import { decodePush, encodePush, parseSchema, type Schema, type Transaction } from "@lakesync/core";
import assert from "node:assert/strict";
import type { Transacted } from "../../client/app_sql.ts";
import type { SqliteConnection } from "../../client/database/driver.ts";
import { loadDriver } from "../../client/database/open.ts";
import { type AnyLocalDatabase, openLocal } from "../../client/local.ts";
import { WIDE, withFolder } from "../../client/testing_local.ts";
import {
  allRows,
  AppDriver,
  errorOf,
  openPlain,
  outcomeOf,
  run,
  setUp,
  transacted,
} from "./sql_databases.ts";
import { fold, readRows, type Rows } from "./sql_fold.ts";
import type { Statement, Step } from "./sql_statements.ts";
import { misfit, syncAll } from "./sql_sync.ts";
import type { World } from "./sql_world.ts";

/**
 * The client refused a value that could never reach the gateway, where plain SQLite takes any; or
 * it has a temporary table and the plain one none.
 */
const REFUSAL = /^LakeSync: |^temporary storage cannot be changed/;

/**
 * An error in the middle of a statement that is no constraint's. Inside a transaction plain SQLite
 * may keep the rows before it, which it does not say; with triggers it undoes them as it says.
 */
const HALFWAY =
  /^cannot store |^datatype mismatch|^too many levels|JSON|overflow|too big|not a valid/;

/** A client's database and the plain one. */
class Play {
  readonly #world: World;
  readonly #path: string;
  readonly #schema: Schema;
  readonly #driver: AppDriver;
  #client: AnyLocalDatabase | undefined;
  #plain: SqliteConnection | undefined;
  readonly #rows: Rows = new Map();
  #last = 0;

  constructor(world: World, folder: string) {
    this.#world = world;
    this.#path = world.onDisk ? `${folder}/app.db` : ":memory:";
    this.#schema = parseSchema(world.schema);
    this.#driver = new AppDriver(world);
  }

  get client(): AnyLocalDatabase {
    assert.ok(this.#client !== undefined);
    return this.#client;
  }

  get writer(): SqliteConnection {
    assert.ok(this.#driver.writer !== undefined);
    return this.#driver.writer;
  }

  get plain(): SqliteConnection {
    assert.ok(this.#plain !== undefined);
    return this.#plain;
  }

  async open(): Promise<void> {
    this.#driver.writer = undefined;
    this.#client = await openLocal({
      database: this.#path,
      schema: this.#world.schema,
      driver: this.#driver,
      captureExisting: true,
      watchMs: 0,
    });
    this.#plain ??= await openPlain(this.writer, this.#world);
  }

  async close(): Promise<void> {
    await this.#client?.close();
    await this.#plain?.close();
  }

  async #reopen(): Promise<void> {
    if (!this.#world.onDisk || this.writer.inTransaction) return;
    await this.client.close();
    this.#client = undefined;
    await this.open();
    await setUp(this.plain);
  }

  /** @returns whether to go on */
  async #other({ statements }: Extract<Step, { do: "other" }>): Promise<boolean> {
    if (!this.#world.onDisk || this.writer.inTransaction) return true;
    const other = await (await loadDriver()).open(this.#path);
    try {
      await setUp(other);
      await setUp(this.plain);
      const sql = ["BEGIN", ...statements.map(({ sql }) => sql), "COMMIT"].join("; ");
      const there = errorOf(await outcomeOf(() => other.script(sql)));
      if (there !== undefined && (REFUSAL.test(there) || HALFWAY.test(there))) return false;
      assert.equal(errorOf(await outcomeOf(() => this.plain.script(sql))), there);
      if (this.plain.inTransaction) await this.plain.script("ROLLBACK");
    } finally {
      await other.close();
    }
    await this.client.check();
    return true;
  }

  /**
   * Runs a statement on both; on the client alone when that refuses it.
   *
   * @returns whether both are still to be alike
   */
  async #both(client: Transacted, statement: Statement): Promise<boolean> {
    const there = await outcomeOf(() => run(client, statement));
    if ("error" in there && REFUSAL.test(there.error)) return true;
    const here = await outcomeOf(() => run(transacted(this.plain), statement));
    assert.deepEqual(there, here, statement.sql);
    return !("error" in there && HALFWAY.test(there.error));
  }

  async #statement(statement: Statement): Promise<void> {
    if (await this.#both(this.client, statement)) return;
    if (!this.writer.inTransaction) return;
    await this.client.exec("ROLLBACK");
    await this.plain.script("ROLLBACK");
  }

  async #transaction({ statements, fails }: Extract<Step, { do: "transaction" }>): Promise<void> {
    if (this.writer.inTransaction) return;
    await this.plain.script("BEGIN IMMEDIATE");
    const there = await outcomeOf(() =>
      this.client.transaction(async (tx) => {
        for (const statement of statements) {
          const alike = await this.#both(tx, statement);
          if (!alike || !this.writer.inTransaction) throw new Error("It was rolled back");
        }
        if (fails) throw new Error("On purpose");
      })
    );
    if (!this.plain.inTransaction) return;
    const error = errorOf(there);
    if (error !== undefined && !/constraint failed/.test(error)) {
      assert.match(error, /On purpose|rolled back/);
      return await this.plain.script("ROLLBACK");
    }
    assert.equal(error, errorOf(await outcomeOf(() => this.plain.script("COMMIT"))));
    if (this.plain.inTransaction) await this.plain.script("ROLLBACK");
  }

  /** @returns whether to go on: how far a script came that the client refused is not known */
  async #script(sql: string): Promise<boolean> {
    const there = errorOf(await outcomeOf(() => this.client.exec(sql)));
    if (there !== undefined && (REFUSAL.test(there) || HALFWAY.test(there))) return false;
    assert.equal(there, errorOf(await outcomeOf(() => this.plain.script(sql))));
    return true;
  }

  /** @returns whether to go on */
  async take(step: Step): Promise<boolean> {
    if (step.do === "script") return await this.#script(step.sql);
    if (step.do === "other") return await this.#other(step);
    if (step.do === "transaction") await this.#transaction(step);
    else if (step.do === "reopen") await this.#reopen();
    else await this.#statement(step.statement);
    return true;
  }

  /** Takes what was captured since the last time. */
  async #captured(): Promise<Transaction[]> {
    const captured: Transaction[] = [];
    for (;;) {
      const batch = await this.client.nextBatch({ mutationId: this.#last, part: 0 }, WIDE);
      if (batch === undefined) return captured;
      this.#last = batch.next.mutationId;
      captured.push(...batch.transactions);
    }
  }

  /** Ends what is open, then syncs. */
  async end(): Promise<void> {
    if (this.writer.inTransaction) await this.client.exec("ROLLBACK");
    await syncAll(this.client, this.writer, this.#schema);
  }

  /** Compares everything. */
  async check(most: number): Promise<void> {
    assert.equal(this.writer.inTransaction, this.plain.inTransaction);
    assert.deepEqual(await allRows(this.writer), await allRows(this.plain));
    if (this.writer.inTransaction) return;
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
    assert.deepEqual(this.#rows, await readRows(this.writer, this.#schema));
  }
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
    const play = new Play(world, folder);
    try {
      const opened = errorOf(await outcomeOf(() => play.open()));
      if (opened !== undefined && REFUSAL.test(opened)) return;
      assert.equal(opened, undefined);
      await play.check(1);
      for (const step of steps) {
        if (!await play.take(step)) return;
        await play.check(step.do === "script" ? 4 : 1);
      }
      await play.end();
    } finally {
      await play.close();
    }
  });
}
