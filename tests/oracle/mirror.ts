/**
 * The visible rows of a world in real SQLite tables, over which rules are evaluated as plain SQL.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Claims, Op, Rules, Schema, Table, Value } from "@lakesync/core";
import {
  createTableSql,
  quoteName,
  ROW_ID,
  scopeSql,
  type Statement,
  toStored,
  writeSql,
} from "../../core/rules/testing_sql.ts";

/** Reads a row's columns by name. */
export type Reader = (column: string) => Value;

/** The table beside each table in which one row is judged that is not, or not yet, in it. */
function probeName(table: string): string {
  return `probe ${table}`;
}

interface Prepared {
  readonly statement: StatementSync;
  readonly values: Statement["values"];
}

/** Rows in SQLite. */
export class Mirror implements Disposable {
  readonly #db = new DatabaseSync(":memory:");
  #schema: Schema | undefined;
  #rules: Rules | undefined;
  #statements = new Map<string, StatementSync>();
  #scopes = new Map<string, readonly (Prepared & { bucket: string; table: string })[]>();
  #writes = new Map<string, Prepared>();

  /** Begins anew with the tables of a schema, all of them empty. */
  begin(schema: Schema): void {
    this.#statements = new Map();
    this.#forgetRules();
    for (const table of this.#schema?.tables.values() ?? []) {
      this.#db.exec(`DROP TABLE ${quoteName(table.name)}`);
      this.#db.exec(`DROP TABLE ${quoteName(probeName(table.name))}`);
    }
    this.#schema = schema;
    this.#rules = undefined;
    for (const table of schema.tables.values()) {
      this.#db.exec(createTableSql(table));
      this.#db.exec(createTableSql({ ...table, name: probeName(table.name) }));
    }
  }

  /** Takes other rules. */
  useRules(rules: Rules): void {
    this.#forgetRules();
    this.#rules = rules;
  }

  #forgetRules(): void {
    this.#scopes = new Map();
    this.#writes = new Map();
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Puts a row, or with `undefined` takes it away. */
  put(table: Table, key: readonly Value[], reader: Reader | undefined): void {
    if (reader === undefined) this.#remove(table.name, table, key);
    else this.#insert(table.name, table, reader);
  }

  #insert(name: string, table: Table, reader: Reader): void {
    const marks = table.columns.map(() => "?").join(", ");
    this.#statement(`INSERT OR REPLACE INTO ${quoteName(name)} VALUES (${marks})`)
      .run(...table.columns.map((column) => toStored(reader(column.name), column)));
  }

  #remove(name: string, table: Table, key: readonly Value[]): void {
    const where = table.primaryKey.map((column) => `${quoteName(column.name)} = ?`);
    this.#statement(`DELETE FROM ${quoteName(name)} WHERE ${where.join(" AND ")}`)
      .run(...table.primaryKey.map((column, i) => toStored(key[i] ?? null, column)));
  }

  /**
   * The rows in a caller's scope.
   *
   * @returns for each bucket and table the ids of the rows
   */
  scope(claims: Claims): readonly { bucket: string; table: string; rowIds: readonly string[] }[] {
    const key = JSON.stringify(claims);
    let prepared = this.#scopes.get(key);
    if (prepared === undefined) {
      prepared = this.#prepareScope(claims);
      this.#scopes.set(key, prepared);
    }
    return prepared.map(({ bucket, table, statement, values }) => ({
      bucket,
      table,
      rowIds: statement.all(...values).map((row) => String(row[ROW_ID])),
    }));
  }

  #prepareScope(claims: Claims) {
    const rules = this.#rules;
    if (rules === undefined) return [];
    return rules.buckets.flatMap(({ name, tables }) =>
      tables.flatMap(({ table }) => {
        const found = scopeSql(rules, name, table.name, claims);
        if (found === undefined) return [];
        const statement = this.#statement(`SELECT ${ROW_ID} FROM (${found.sql})`);
        return [{ bucket: name, table: table.name, statement, values: found.values }];
      })
    );
  }

  /** Whether write rules allow an operation on a row that need not be in the table. */
  mayWrite(table: Table, op: Op, claims: Claims, key: readonly Value[], reader: Reader): boolean {
    const rules = this.#rules;
    if (rules === undefined) return true;
    const id = JSON.stringify([table.name, op, claims]);
    let prepared = this.#writes.get(id);
    if (prepared === undefined) {
      const { sql, values } = writeSql(rules, table.name, op, claims);
      const from = `FROM ${quoteName(table.name)} AS t0 `;
      const probed = sql.replace(from, `FROM ${quoteName(probeName(table.name))} AS t0 `);
      if (probed === sql) throw new Error("The statement reads another table than it should");
      prepared = { statement: this.#statement(probed), values };
      this.#writes.set(id, prepared);
    }
    const name = probeName(table.name);
    this.#insert(name, table, reader);
    const found = prepared.statement.all(...prepared.values);
    this.#remove(name, table, key);
    return found.length > 0;
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
