/**
 * MySQL and MariaDB as the flow of a flush needs them.
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
import { Client, type Session } from "./client.ts";
import type { ReadRow, StatementListener } from "./connection.ts";
import { isMissingTable } from "./errors.ts";
import { text } from "./literals.ts";
import { DELTAS, POSITION, PROBLEMS, STATE } from "./names.ts";
import type { MysqlSettings } from "./options.ts";
import { FORMAT, ownTables } from "./own_tables.ts";
import { Partitions } from "./partitions.ts";
import {
  CHANGE_COLUMNS,
  keyIn,
  PROBLEM_COLUMNS,
  READ_POSITION,
  rowProblem,
  STATE_COLUMNS,
  storedChange,
  storedPosition,
  storedRow,
} from "./reading.ts";
import { readRows } from "./rows.ts";
import { MysqlSchemaTransaction } from "./schema_transaction.ts";
import { MysqlTransaction } from "./transaction.ts";
import { canReference, misfitOf } from "./types.ts";

const CAPABILITIES: Capabilities = {
  readable: true,
  materialised: true,
  foreignKeys: true,
  transactionalDdl: false,
  nulInText: true,
  mergesRows: true,
  knowsChanges: true,
};

/** All rows but those of which nothing is known but that they are unsettled. */
const IS_KNOWN = `NOT (s.settled = ${UNSETTLED} AND s.seq = 0 AND s.is_visible = 0)`;

/** A MySQL or MariaDB database. */
export class MysqlBackend implements SqlBackend {
  readonly capabilities: Capabilities = CAPABILITIES;
  readonly #settings: MysqlSettings;
  readonly #client: Client;
  readonly #now: () => number;
  readonly #partitions: Partitions;

  /**
   * @param settings how to reach and use the database
   * @param now the time, in milliseconds since 1970
   * @param listener told of every statement
   */
  constructor(
    settings: MysqlSettings,
    now: () => number = Date.now,
    listener?: StatementListener,
  ) {
    this.#settings = settings;
    this.#client = new Client(settings, listener);
    this.#now = now;
    this.#partitions = new Partitions(
      (run) => this.#alone(run),
      (run) => this.#client.transact((session) => run(new MysqlTransaction(session))),
    );
  }

  canReference(child: string, parent: string): boolean {
    return canReference(child, parent);
  }

  misfit({ native }: LayoutColumn, value: Value): string | undefined {
    return misfitOf(native, value);
  }

  async bootstrap(): Promise<void> {
    // Somebody may have emptied the database, or put it back to an older copy.
    this.#partitions.forget();
    const read = `SELECT format, gateway_id FROM ${POSITION} WHERE only_row = 1`;
    let [row] = await this.#read(read, []);
    if (row === undefined) {
      await this.#alone((session) => this.#make(session));
      [row] = await this.#read(read);
    }
    const { address: { database }, gatewayId } = this.#settings;
    if (row?.[0] !== FORMAT) {
      throw new DestinationError(
        "stop",
        `The tables of LakeSync in database ${database} are of another version, take a LakeSync ` +
          `that knows it or another database`,
      );
    }
    if (gatewayId === undefined || row[1] === gatewayId) return;
    if (row[1] !== null) {
      throw new DestinationError(
        "stop",
        `Database ${database} holds the rows of gateway ${row[1]} and not of ${gatewayId}: give ` +
          `each gateway a database of its own`,
      );
    }
    await this.#client.use((session) =>
      session.run(
        `UPDATE ${POSITION} SET gateway_id = ${text(gatewayId)} ` +
          `WHERE only_row = 1 AND gateway_id IS NULL`,
      )
    );
  }

  async transact<T>(
    run: (transaction: SqlTransaction) => Promise<T>,
    isLong = false,
  ): Promise<T> {
    return await this.#client.transact(
      (session) => run(new MysqlTransaction(session)),
      isLong,
    );
  }

  async transactSchema<T>(run: (transaction: SchemaTransaction) => Promise<T>): Promise<T> {
    return await this.#alone(async (session) => {
      const transaction = new MysqlSchemaTransaction(session, this.#settings.adopt);
      const result = await run(transaction);
      await transaction.finish();
      return result;
    });
  }

  async prepareTimes(committedMs: readonly number[]): Promise<void> {
    await this.#partitions.prepare(committedMs);
    const { retentionDays } = this.#settings;
    if (retentionDays !== undefined) await this.#partitions.retain(retentionDays, this.#now());
  }

  async position(): Promise<StoredPosition | undefined> {
    const [row] = await this.#read(READ_POSITION, []);
    return row && storedPosition(row);
  }

  async layouts(): Promise<StoredLayouts | undefined> {
    try {
      return await this.#client.use(readLayouts);
    } catch (error) {
      if (isMissingTable(error)) return undefined;
      throw error;
    }
  }

  async unsettled(limit: number): Promise<readonly DestinationKey[]> {
    const [row] = await this.#read(READ_POSITION, []);
    if (row === undefined) return [];
    const { generation } = storedPosition(row);
    const rows = await this.#read(
      `SELECT table_id, row_id FROM ${STATE} FORCE INDEX (lakesync_state_settled) ` +
        `WHERE settled < ${generation} LIMIT ${limit}`,
    );
    return rows.map(keyIn);
  }

  async changes(
    { seq, slice, n }: Required<Place> & { readonly n: number },
    limit: number,
  ): Promise<
    readonly (Omit<NumberedChange, "effect" | "unsettles"> & {
      readonly key: DestinationKey | undefined;
    })[]
  > {
    const rows = await this.#read(
      `SELECT ${CHANGE_COLUMNS} FROM ${DELTAS} FORCE INDEX (PRIMARY) WHERE seq > ${seq} ` +
        `OR (seq = ${seq} AND slice > ${slice}) OR (seq = ${seq} AND slice = ${slice} AND n > ${n}) ` +
        `ORDER BY seq, slice, n LIMIT ${limit}`,
      [],
    );
    return rows.map(storedChange);
  }

  async rows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]> {
    try {
      return await this.#client.use((session) => readRows(session, keys, IS_KNOWN));
    } catch (error) {
      if (isMissingTable(error)) return [];
      throw error;
    }
  }

  async scan(after: DestinationKey | undefined, limit: number): Promise<readonly StoredRow[]> {
    const { table, rowId } = after ?? { table: -1, rowId: "" };
    const rows = await this.#read(
      `SELECT ${STATE_COLUMNS} FROM ${STATE} s FORCE INDEX (PRIMARY) WHERE ${IS_KNOWN} ` +
        `AND (s.table_id > ${table} OR (s.table_id = ${table} AND s.row_id > ${text(rowId)})) ` +
        `ORDER BY s.table_id, s.row_id LIMIT ${limit}`,
      [],
    );
    return rows.map(storedRow);
  }

  async problems(limit: number): Promise<readonly Omit<RowProblem, "table">[]> {
    const rows = await this.#read(
      `SELECT ${PROBLEM_COLUMNS} FROM ${PROBLEMS} FORCE INDEX (lakesync_problems_oldest) ` +
        `ORDER BY seq, table_id, row_id LIMIT ${limit}`,
      [],
    );
    return rows.map(rowProblem);
  }

  abandon(): Promise<void> {
    this.#client.abandon();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Reads; gives `unmade` when LakeSync's own tables are not there yet. */
  async #read(
    statement: string,
    unmade?: readonly ReadRow[],
  ): Promise<readonly ReadRow[]> {
    try {
      return await this.#client.use((session) => session.run(statement));
    } catch (error) {
      if (unmade !== undefined && isMissingTable(error)) return unmade;
      throw error;
    }
  }

  /** Runs statements while no other process changes tables. */
  async #alone<T>(run: (session: Session) => Promise<T>): Promise<T> {
    const seconds = Math.ceil(this.#settings.statementTimeoutMs / 1_000);
    return await this.#client.use(async (session) => {
      // It is given back when the connection ends, which it does after this.
      const [row] = await session.run(
        `SELECT GET_LOCK(CONCAT('lakesync_', SHA1(DATABASE())), ${seconds})`,
      );
      if (row?.[0] !== 1) {
        throw new DestinationError("later", "Another process is changing tables");
      }
      return await run(session);
    }, true);
  }

  async #make(session: Session): Promise<void> {
    for (const statement of ownTables(session.facts.collation, this.#now())) {
      await session.run(statement);
    }
    await session.run(
      `INSERT INTO ${POSITION} (only_row, format, generation, forgotten_seq) ` +
        `VALUES (1, ${FORMAT}, 0, 0) ON DUPLICATE KEY UPDATE only_row = 1`,
    );
  }
}
