/**
 * Postgres as the flow of a flush needs it.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import {
  type Capabilities,
  DestinationError,
  type DestinationKey,
  type Place,
  type RowProblem,
} from "../adapter.ts";
import type {
  LayoutColumn,
  NumberedChange,
  SchemaTransaction,
  SqlBackend,
  SqlTransaction,
  StoredLayouts,
  StoredPosition,
} from "../database/backend.ts";
import { type StoredRow, UNSETTLED } from "../database/images.ts";
import { readLayouts } from "./catalog.ts";
import {
  Client,
  type Parameter,
  type ReadRow,
  type Session,
  type StatementListener,
} from "./client.ts";
import { destinationError, isMissingTable } from "./errors.ts";
import { FORMAT, layoutOf } from "./layout.ts";
import { type OwnTables, ownTables, quoteText } from "./names.ts";
import type { PostgresSettings } from "./options.ts";
import { type Month, monthsOf, partitionName } from "./partitions.ts";
import {
  CHANGE_COLUMNS,
  keyIn,
  POSITION_COLUMNS,
  rowProblem,
  STATE_COLUMNS,
  storedChange,
  storedPosition,
  storedRow,
} from "./reading.ts";
import { PostgresSchemaTransaction } from "./schema_transaction.ts";
import { keyParameters, PostgresTransaction, readRowsText } from "./transaction.ts";
import { canReference, misfitOf } from "./values.ts";

const CAPABILITIES: Capabilities = {
  readable: true,
  materialised: true,
  foreignKeys: true,
  transactionalDdl: true,
  nulInText: false,
  mergesRows: true,
  knowsChanges: true,
};

const DAY_MS = 86_400_000;
/** How often it is looked for months that are too old. */
const RETENTION_EVERY_MS = 3_600_000;

/** A row of which nothing is known but that it is unsettled. */
const NOT_UNKNOWN = `NOT (s.settled = ${UNSETTLED} AND s.seq = 0 AND NOT s.is_visible)`;

/** A Postgres database. */
export class PostgresBackend implements SqlBackend {
  readonly capabilities: Capabilities = CAPABILITIES;
  readonly #settings: PostgresSettings;
  readonly #own: OwnTables;
  readonly #client: Client;
  readonly #now: () => number;
  readonly #months = new Set<string>();
  #retainedMs = -Infinity;

  /**
   * @param settings how to reach and use the database
   * @param now the time, in milliseconds since 1970
   * @param listener told of every statement
   */
  constructor(
    settings: PostgresSettings,
    now: () => number = Date.now,
    listener?: StatementListener,
  ) {
    this.#settings = settings;
    this.#own = ownTables(settings.schema);
    this.#client = new Client(settings, listener);
    this.#now = now;
  }

  canReference(child: string, parent: string): boolean {
    return canReference(child, parent);
  }

  misfit({ native }: LayoutColumn, value: Value): string | undefined {
    return misfitOf(native, value);
  }

  async bootstrap(): Promise<void> {
    // Somebody may have emptied the schema, or put it back to an older copy.
    this.#months.clear();
    const [there] = await this.#read(
      `SELECT to_regclass($1::text) IS NOT NULL AS is_there`,
      [this.#own.deltas],
    );
    if (there?.is_there !== true) await this.#alone((session) => this.#make(session));
    const [row] = await this.#read(`SELECT format FROM ${this.#own.position} WHERE only_row`);
    if (row?.format === FORMAT) return;
    throw new DestinationError(
      "stop",
      `The tables of LakeSync in schema ${this.#settings.schema} are of another version, take a ` +
        `LakeSync that knows it or another schema`,
    );
  }

  async transact<T>(
    run: (transaction: SqlTransaction) => Promise<T>,
    isLong = false,
  ): Promise<T> {
    return await this.#client.transact(async (session) => {
      if (isLong) await session.takeTime();
      return await run(new PostgresTransaction(session, this.#own));
    });
  }

  async transactSchema<T>(run: (transaction: SchemaTransaction) => Promise<T>): Promise<T> {
    const { schema, adopt } = this.#settings;
    return await this.#alone(async (session) => {
      await session.takeTime();
      return await run(new PostgresSchemaTransaction(session, this.#own, schema, adopt));
    });
  }

  async prepareTimes(committedMs: readonly number[]): Promise<void> {
    // First, since changes may be of a month that is to be dropped.
    const { retentionDays } = this.#settings;
    if (retentionDays !== undefined && this.#now() >= this.#retainedMs + RETENTION_EVERY_MS) {
      await this.#dropMonths(this.#now() - retentionDays * DAY_MS);
      this.#retainedMs = this.#now();
    }
    const missing = monthsOf(committedMs).filter(({ name }) => !this.#months.has(name));
    if (missing.length > 0) {
      await this.#alone(async (session) => {
        for (const month of missing) await this.#makeMonth(session, month);
      });
      for (const { name } of missing) this.#months.add(name);
    }
  }

  async position(): Promise<StoredPosition | undefined> {
    const [row] = await this.#read(
      `SELECT ${POSITION_COLUMNS} FROM ${this.#own.position} WHERE only_row`,
      [],
      [],
    );
    return row && storedPosition(row);
  }

  async layouts(): Promise<StoredLayouts | undefined> {
    try {
      return await readLayouts(
        (text, ...parameters) => this.#client.read(text, parameters),
        this.#own,
        this.#settings.schema,
      );
    } catch (error) {
      if (isMissingTable(error)) return undefined;
      throw destinationError(error);
    }
  }

  async unsettled(limit: number): Promise<readonly DestinationKey[]> {
    const rows = await this.#read(
      `SELECT table_id, row_id FROM ${this.#own.state} ` +
        `WHERE settled < (SELECT generation FROM ${this.#own.position} WHERE only_row) ` +
        `LIMIT $1::int`,
      [limit],
      [],
    );
    return rows.map(keyIn);
  }

  async changes(
    after: Required<Place> & { readonly n: number },
    limit: number,
  ): Promise<
    readonly (Omit<NumberedChange, "effect" | "unsettles"> & {
      readonly key: DestinationKey | undefined;
    })[]
  > {
    const rows = await this.#read(
      `SELECT ${CHANGE_COLUMNS} FROM ${this.#own.deltas} ` +
        `WHERE (seq, slice, n) > ($1::bigint, $2::int, $3::int) ` +
        `ORDER BY seq, slice, n LIMIT $4::int`,
      [after.seq, after.slice, after.n, limit],
      [],
    );
    return rows.map(storedChange);
  }

  async rows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]> {
    const rows = await this.#read(
      `${readRowsText(this.#own)} WHERE ${NOT_UNKNOWN}`,
      keyParameters(keys),
      [],
    );
    return rows.map(storedRow);
  }

  async scan(after: DestinationKey | undefined, limit: number): Promise<readonly StoredRow[]> {
    const rows = await this.#read(
      `SELECT ${STATE_COLUMNS} FROM ${this.#own.state} s ` +
        `WHERE (s.table_id, s.row_id) > ($1::int, $2::text) AND ${NOT_UNKNOWN} ` +
        `ORDER BY s.table_id, s.row_id LIMIT $3::int`,
      [after?.table ?? -1, after?.rowId ?? "", limit],
      [],
    );
    return rows.map(storedRow);
  }

  async problems(limit: number): Promise<readonly Omit<RowProblem, "table">[]> {
    const rows = await this.#read(
      `SELECT table_id, row_id, problem, problem_reason, problem_code, problem_seq, ` +
        `round(extract(epoch FROM problem_at) * 1000)::bigint AS problem_ms ` +
        `FROM ${this.#own.state} WHERE problem IS NOT NULL ` +
        `ORDER BY problem_seq, table_id, row_id LIMIT $1::int`,
      [limit],
      [],
    );
    return rows.map(rowProblem);
  }

  async abandon(): Promise<void> {
    await this.#client.abandon();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Reads; gives `unmade` when LakeSync's own tables are not there yet. */
  async #read(
    text: string,
    parameters: readonly Parameter[] = [],
    unmade?: readonly ReadRow[],
  ): Promise<readonly ReadRow[]> {
    try {
      return await this.#client.read(text, parameters);
    } catch (error) {
      if (unmade !== undefined && isMissingTable(error)) return unmade;
      throw destinationError(error);
    }
  }

  /** Runs a transaction that no other process runs at the same time. */
  async #alone<T>(run: (session: Session) => Promise<T>): Promise<T> {
    const { schema } = this.#settings;
    return await this.#client.transact(async (session) => {
      await session.run(`SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))`, [
        `lakesync ${schema}`,
      ]);
      return await run(session);
    });
  }

  async #make(session: Session): Promise<void> {
    const { schema } = this.#settings;
    const [there] = await session.run(
      `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1::text) AS is_there`,
      [schema],
    );
    const [encoding] = await session.run(
      `SELECT current_setting('server_encoding') AS encoding`,
    );
    if (encoding?.encoding !== "UTF8") {
      throw new DestinationError(
        "stop",
        `The database has encoding ${encoding?.encoding}, take one with UTF8`,
      );
    }
    if (there?.is_there !== true) await session.run(`CREATE SCHEMA ${this.#own.schema}`);
    await session.run(layoutOf(this.#own));
  }

  /** Makes a partition aside and attaches it, so that readers of the change table go on. */
  async #makeMonth(session: Session, month: Month): Promise<void> {
    const name = this.#own.table(partitionName(month));
    const [there] = await session.run(
      `SELECT to_regclass($1::text) IS NOT NULL AS is_there`,
      [name],
    );
    if (there?.is_there === true) return;
    const [from, to] = [month.fromMs, month.toMs].map((ms) => new Date(ms).toISOString());
    await session.run(
      `CREATE TABLE ${name} (LIKE ${this.#own.deltas} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);` +
        `ALTER TABLE ${this.#own.deltas} ATTACH PARTITION ${name} ` +
        `FOR VALUES FROM (${quoteText(from ?? "")}) TO (${quoteText(to ?? "")})`,
    );
  }

  /** Drops the months that ended before a time. */
  async #dropMonths(beforeMs: number): Promise<void> {
    const rows = await this.#read(
      `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid ` +
        `WHERE i.inhparent = to_regclass($1::text)`,
      [this.#own.deltas],
    );
    for (const { name } of rows) {
      const [, year, month] = /^lakesync_deltas_(\d+)_(\d\d)$/.exec(String(name)) ?? [];
      if (year === undefined || Date.UTC(Number(year), Number(month)) > beforeMs) continue;
      const table = this.#own.table(String(name));
      await this.#alone(async (session) => {
        const transaction = new PostgresTransaction(session, this.#own);
        const stored = await transaction.lockPosition();
        const [last] = await session.run(`SELECT max(seq) AS seq FROM ${table}`);
        const forgottenSeq = Math.max(stored.forgottenSeq, Number(last?.seq ?? 0));
        await transaction.putPosition({ ...stored, forgottenSeq });
        await session.run(`DROP TABLE ${table}`);
      });
      this.#months.delete(`${year}_${month}`);
    }
  }
}
