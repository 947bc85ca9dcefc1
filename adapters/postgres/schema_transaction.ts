/**
 * The statements of a transaction that changes tables.
 *
 * @module
 */

import type { Column } from "@lakesync/core";
import { DestinationError, type DestinationSchema, type DestinationTable } from "../adapter.ts";
import type { SchemaTransaction, StoredLayouts } from "../database/backend.ts";
import type { Reference } from "../database/references.ts";
import type { DatabaseFacts, SchemaStep, StoredTable } from "../database/schema_plan.ts";
import { toStoredSchema } from "../database/stored_schema.ts";
import { existingTables, readLayouts, type Run, storedSchema, storedTables } from "./catalog.ts";
import type { Session } from "./client.ts";
import { REFERENCE_PREFIX } from "./errors.ts";
import { type OwnTables, quoteName } from "./names.ts";
import { MAX_NAME_LENGTH } from "./options.ts";
import { PostgresTransaction } from "./transaction.ts";
import { isCompatible, nativeOf, numberArray } from "./values.ts";

const EXTRAS: Readonly<Record<string, string>> = {
  synced_at: "timestamp with time zone",
  props: "jsonb DEFAULT '{}'",
};

/** A transaction that changes tables. */
export class PostgresSchemaTransaction extends PostgresTransaction implements SchemaTransaction {
  readonly #schema: string;
  readonly #adopt: ReadonlySet<string>;
  readonly #run: Run;

  /**
   * @param session where it runs
   * @param own LakeSync's own tables
   * @param schema the schema's name
   * @param adopt the tables that may be taken over
   */
  constructor(session: Session, own: OwnTables, schema: string, adopt: readonly string[]) {
    super(session, own);
    this.#schema = schema;
    this.#adopt = new Set(adopt);
    this.#run = (text, ...parameters) => this.run(text, ...parameters);
  }

  async facts(): Promise<
    { readonly schema: DestinationSchema | undefined; readonly facts: DatabaseFacts }
  > {
    const existing = await existingTables(this.#run, this.#schema);
    return {
      schema: await storedSchema(this.#run, this.own),
      facts: {
        stored: await storedTables(this.#run, this.own),
        existing: new Map([...existing].map(([name, types]) => [name, new Set(types.keys())])),
        adopt: this.#adopt,
        maxNameLength: MAX_NAME_LENGTH,
      },
    };
  }

  async apply(step: Exclude<SchemaStep, { readonly kind: "fillTable" }>): Promise<void> {
    switch (step.kind) {
      case "renameTable":
        await this.#alter(step.from, `RENAME TO ${quoteName(step.to)}`);
        return;
      case "renameColumn":
        await this.#alter(
          step.table,
          `RENAME COLUMN ${quoteName(step.from)} TO ${quoteName(step.to)}`,
        );
        return;
      case "createTable":
        await this.#create(step.table, step.extras);
        return;
      case "checkTable":
        await this.#check(step.table, step.columns);
        return;
      case "addColumn":
        await this.#alter(step.table, `ADD COLUMN ${definition(step.column)}`);
        return;
      case "addExtra":
        await this.#alter(
          step.table,
          `ADD COLUMN ${quoteName(step.extra)} ${EXTRAS[step.extra] ?? "text"}`,
        );
        return;
      case "widenColumn":
        await this.#widen(step.table, step.column);
    }
  }

  async lackingReferences(references: readonly Reference[]): Promise<readonly Reference[]> {
    const there = new Set<string>();
    const { tables } = await this.layouts();
    const nameOf = (id: number) => tables.get(id)?.table.name;
    const wanted = new Map(references.map((each) => [constraintName(each), each]));
    const rows = await this.run(
      `SELECT k.conname AS name, c.relname AS child, p.relname AS parent FROM pg_constraint k ` +
        `JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace s ON s.oid = c.relnamespace ` +
        `JOIN pg_class p ON p.oid = k.confrelid ` +
        `WHERE s.nspname = $1::text AND k.contype = 'f' AND k.conparentid = 0 ` +
        `AND starts_with(k.conname, $2::text)`,
      this.#schema,
      REFERENCE_PREFIX,
    );
    for (const { name, child, parent } of rows) {
      const reference = wanted.get(String(name));
      // Somebody may have renamed a table, and another one have been made in its place.
      const isOwn = reference !== undefined && nameOf(reference.child) === child;
      if (isOwn && nameOf(reference.parent) === parent) {
        there.add(String(name));
        continue;
      }
      await this.#alter(String(child), `DROP CONSTRAINT ${quoteName(String(name))}`);
      if (isOwn) continue;
      await this.run(`DROP INDEX IF EXISTS ${this.own.table(indexName(String(name)))}`);
    }
    return references.filter((reference) => !there.has(constraintName(reference)));
  }

  async makeReferences(
    { tables }: StoredLayouts,
    references: readonly Reference[],
  ): Promise<void> {
    const stored = await storedTables(this.#run, this.own);
    const adopted = new Set(stored.filter(({ isAdopted }) => isAdopted).map(({ id }) => id));
    for (const reference of references) {
      const [child, parent] = [tables.get(reference.child), tables.get(reference.parent)];
      const [key] = parent?.key ?? [];
      if (child === undefined || parent === undefined || key === undefined) continue;
      const name = constraintName(reference);
      const column = quoteName(reference.column);
      await this.run(
        `CREATE INDEX IF NOT EXISTS ${quoteName(indexName(name))} ` +
          `ON ${this.own.table(child.table.name)} (${column})`,
      );
      await this.#alter(
        child.table.name,
        `ADD CONSTRAINT ${quoteName(name)} FOREIGN KEY (${column}) ` +
          `REFERENCES ${this.own.table(parent.table.name)} (${quoteName(key.column.name)}) ` +
          `DEFERRABLE INITIALLY IMMEDIATE${adopted.has(child.id) ? " NOT VALID" : ""}`,
      );
    }
  }

  async putSchema(schema: DestinationSchema, stored: readonly StoredTable[]): Promise<void> {
    await this.run(
      `UPDATE ${this.own.position} SET schema = $1::text::json WHERE only_row`,
      JSON.stringify(toStoredSchema(schema)),
    );
    await this.run(
      `DELETE FROM ${this.own.tables} WHERE id > 0 AND id <> ALL ($1::int[])`,
      numberArray(stored.map(({ id }) => id)),
    );
    for (const { id, name, isAdopted, extras, columns } of stored) {
      await this.run(
        `INSERT INTO ${this.own.tables} (id, name, is_adopted, extras, columns) ` +
          `VALUES ($1::int, $2::text, $3::boolean, $4::text::json, $5::text::json) ` +
          `ON CONFLICT (id) DO UPDATE SET name = excluded.name, ` +
          `is_adopted = excluded.is_adopted, extras = excluded.extras, ` +
          `columns = excluded.columns`,
        id,
        name,
        isAdopted,
        JSON.stringify(extras),
        JSON.stringify(columns),
      );
    }
  }

  async layouts(): Promise<StoredLayouts> {
    const layouts = await readLayouts(this.#run, this.own, this.#schema);
    if (layouts === undefined) throw new Error("A schema is put before its layouts are read");
    return layouts;
  }

  async #alter(table: string, what: string): Promise<void> {
    await this.run(`ALTER TABLE ${this.own.table(table)} ${what}`);
  }

  async #create({ table }: DestinationTable, extras: readonly string[]): Promise<void> {
    const lines = [
      ...table.columns.map(definition),
      ...extras.map((extra) => `${quoteName(extra)} ${EXTRAS[extra] ?? "text"}`),
      `PRIMARY KEY (${table.primaryKey.map(({ name }) => quoteName(name)).join(", ")})`,
    ];
    await this.run(`CREATE TABLE ${this.own.table(table.name)} (${lines.join(", ")})`);
  }

  /** Checks that a table that is there can be written as one that LakeSync made. */
  async #check({ table }: DestinationTable, columns: readonly Column[]): Promise<void> {
    const types = (await existingTables(this.#run, this.#schema)).get(table.name) ?? new Map();
    for (const column of columns) {
      const native = types.get(column.name) ?? "";
      if (isCompatible(column, native)) continue;
      refuse(
        `Column ${column.name} of table ${table.name} has type ${native}, which cannot hold every ` +
          `${column.type}: change it to ${nativeOf(column)}, or do not adopt the table`,
      );
    }
    const keys = await this.run(
      `SELECT array_to_json(ARRAY(SELECT a.attname FROM pg_attribute a ` +
        `WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) ORDER BY a.attname))::text ` +
        `AS columns FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace ` +
        `JOIN pg_index i ON i.indrelid = c.oid WHERE s.nspname = $1::text ` +
        `AND c.relname = $2::text AND c.relkind IN ('r', 'p') AND i.indisunique ` +
        `AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate`,
      this.#schema,
      table.name,
    );
    const wanted = JSON.stringify(table.primaryKey.map(({ name }) => name).sort());
    if (keys.some((row) => JSON.stringify(JSON.parse(String(row.columns)).sort()) === wanted)) {
      return;
    }
    refuse(
      `Table ${table.name} has no primary key or unique index on exactly ${wanted}: make one, or ` +
        `do not adopt the table`,
    );
  }

  async #widen(table: string, column: Column): Promise<void> {
    const name = quoteName(column.name);
    const types = (await existingTables(this.#run, this.#schema)).get(table);
    const from = types?.get(column.name) ?? "";
    if (isCompatible(column, from)) return;
    const to = nativeOf(column);
    if (to === "double precision") {
      const [row] = await this.run(
        `SELECT EXISTS (SELECT 1 FROM ${this.own.table(table)} ` +
          `WHERE ${name}::double precision::numeric <> ${name}) AS is_lossy`,
      );
      if (row?.is_lossy === true) {
        refuse(
          `Column ${column.name} of table ${table} holds integers that double precision cannot ` +
            `hold exactly: change those values, or give the column another name in the schema`,
        );
      }
    }
    await this.#dropReferences(table);
    await this.#alter(table, `ALTER COLUMN ${name} TYPE ${to} USING ${name}::${to}`);
  }

  /** Takes off the foreign keys from and to a table; those that are wanted are made again. */
  async #dropReferences(table: string): Promise<void> {
    const rows = await this.run(
      `SELECT k.conname AS name, c.relname AS table FROM pg_constraint k ` +
        `JOIN pg_class c ON c.oid = k.conrelid ` +
        `WHERE k.contype = 'f' AND starts_with(k.conname, $1::text) ` +
        `AND to_regclass($2::text) IN (k.conrelid, k.confrelid)`,
      REFERENCE_PREFIX,
      this.own.table(table),
    );
    for (const row of rows) {
      await this.#alter(String(row.table), `DROP CONSTRAINT ${quoteName(String(row.name))}`);
    }
  }
}

function definition(column: Column): string {
  return `${quoteName(column.name)} ${nativeOf(column)}`;
}

function constraintName({ child, columnId, parent }: Reference): string {
  return `${REFERENCE_PREFIX}${child}_${columnId}_${parent}`;
}

function indexName(constraint: string): string {
  return `${constraint}_index`;
}

function refuse(what: string): never {
  throw new DestinationError("stop", what);
}
