/**
 * The statements of a change of tables. Each is a transaction of its own, see `journal.ts`.
 *
 * @module
 */

import type { Column } from "@lakesync/core";
import { DestinationError, type DestinationSchema } from "../adapter.ts";
import type { SchemaTransaction, StoredLayouts, StoredPosition } from "../database/backend.ts";
import { type Reference, referencesOf, writeOrder } from "../database/references.ts";
import type { DatabaseFacts, SchemaStep, StoredTable } from "../database/schema_plan.ts";
import { toStoredSchema } from "../database/stored_schema.ts";
import { existingTables, namesIn, readLayouts, storedSchema } from "./catalog.ts";
import type { Session } from "./client.ts";
import { REFERENCE_PREFIX } from "./errors.ts";
import { Journal } from "./journal.ts";
import { text } from "./literals.ts";
import { MAX_NAME_LENGTH, POSITION, quoteName } from "./names.ts";
import { textOf } from "./reading.ts";
import { MysqlTransaction } from "./transaction.ts";
import { canReference, incompatibility, nativeOf } from "./types.ts";

const EXTRAS: Readonly<Record<string, string>> = {
  synced_at: "datetime(6)",
  props: "json DEFAULT (JSON_OBJECT())",
};

type Step<K> = Extract<SchemaStep, { readonly kind: K }>;

/** A change of tables. */
export class MysqlSchemaTransaction extends MysqlTransaction implements SchemaTransaction {
  readonly #adopt: ReadonlySet<string>;
  readonly #journal: Journal;
  /** The schema that was put. */
  #put: DestinationSchema | undefined;

  /**
   * @param session where it runs
   * @param adopt the tables that may be taken over
   */
  constructor(session: Session, adopt: readonly string[]) {
    super(session);
    this.#adopt = new Set(adopt);
    this.#journal = new Journal(session);
  }

  /** Ends what was begun last. */
  async finish(): Promise<void> {
    if (this.#put === undefined) return;
    await this.session.run("COMMIT");
    await this.#journal.filled(this.#put.tables.map(({ id }) => id));
  }

  override async lockPosition(): Promise<StoredPosition> {
    await this.session.run("START TRANSACTION");
    return await super.lockPosition();
  }

  async facts(): Promise<{
    readonly schema: DestinationSchema | undefined;
    readonly facts: DatabaseFacts;
    readonly unfilled: ReadonlySet<number>;
  }> {
    const existing = await existingTables(this.session);
    const stored = await this.#journal.read(existing);
    return {
      schema: await storedSchema(this.session),
      unfilled: await this.#journal.unfilled(),
      facts: {
        stored,
        existing: namesIn(existing),
        adopt: this.#adopt,
        maxNameLength: MAX_NAME_LENGTH,
      },
    };
  }

  async apply(step: Exclude<SchemaStep, { readonly kind: "fillTable" }>): Promise<void> {
    switch (step.kind) {
      case "renameTable":
        return await this.#renameTable(step);
      case "renameColumn":
        return await this.#renameColumn(step);
      case "createTable":
        return await this.#create(step);
      case "checkTable":
        return await this.#check(step);
      case "addColumn":
        return await this.#addColumn(step);
      case "addExtra":
        return await this.#addExtra(step);
      case "widenColumn":
        return await this.#widen(step);
    }
  }

  async lackingReferences(references: readonly Reference[]): Promise<readonly Reference[]> {
    const layouts = await this.layouts();
    const nameOf = (id: number) => layouts.tables.get(id)?.table.name.toLowerCase();
    const wanted = new Map(references.map((each) => [constraintName(each), each]));
    const keys = await this.session.run(
      `SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME ` +
        `FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() ` +
        `AND LEFT(CONSTRAINT_NAME, ${REFERENCE_PREFIX.length}) = '${REFERENCE_PREFIX}'`,
    );
    const indexes = await this.session.run(
      `SELECT DISTINCT INDEX_NAME, TABLE_NAME FROM information_schema.STATISTICS ` +
        `WHERE TABLE_SCHEMA = DATABASE() ` +
        `AND LEFT(INDEX_NAME, ${REFERENCE_PREFIX.length}) = '${REFERENCE_PREFIX}'`,
    );
    const there = new Set<string>();
    const indexed = new Set<string>();
    for (
      const [what, rows, found] of [["FOREIGN KEY", keys, there], [
        "INDEX",
        indexes,
        indexed,
      ]] as const
    ) {
      for (const [name, child, parent] of rows.map((row) => row.map(textOf))) {
        if (name === undefined || child === undefined) continue;
        const reference = wanted.get(name);
        // Somebody may have renamed a table, and another one have been made in its place.
        const isOwn = reference !== undefined &&
          nameOf(reference.child) === child.toLowerCase() &&
          (parent === undefined || nameOf(reference.parent) === parent.toLowerCase());
        if (isOwn) found.add(name);
        else await this.#alter(child, `DROP ${what} ${quoteName(name)}`);
      }
    }
    await this.#freeTexts(layouts);
    return references.filter((reference) => {
      const name = constraintName(reference);
      return !indexed.has(name) ||
        (!there.has(name) && isConstrained(layouts.schema, reference));
    });
  }

  async makeReferences(layouts: StoredLayouts, lacking: readonly Reference[]): Promise<void> {
    const { tables } = layouts;
    for (const reference of lacking) {
      const [child, parent] = [tables.get(reference.child), tables.get(reference.parent)];
      const column = child?.columns.find(({ id }) => id === reference.columnId);
      const [key] = parent?.key ?? [];
      if (!child || !parent || !column || !key) continue;
      await this.#bound(child.table.name, column.column, column.native);
      const name = quoteName(constraintName(reference));
      const own = quoteName(column.column.name);
      await this.#index(child.table.name, constraintName(reference), own);
      if (!isConstrained(layouts.schema, reference)) continue;
      const isAdopted = this.#journal.named(child.table.name)?.isAdopted === true;
      // Rows that were there before LakeSync are as they are.
      if (isAdopted) await this.session.run("SET SESSION foreign_key_checks = 0");
      await this.#alter(
        child.table.name,
        `ADD CONSTRAINT ${name} FOREIGN KEY (${own}) ` +
          `REFERENCES ${quoteName(parent.table.name)} (${quoteName(key.column.name)})`,
      );
      if (isAdopted) await this.session.run("SET SESSION foreign_key_checks = 1");
    }
  }

  async putSchema(schema: DestinationSchema, stored: readonly StoredTable[]): Promise<void> {
    this.#put = schema;
    await this.session.run("START TRANSACTION");
    await this.session.run(
      `UPDATE ${POSITION} SET schema_json = ${text(JSON.stringify(toStoredSchema(schema)))} ` +
        `WHERE only_row = 1`,
    );
    await this.#journal.keepOnly(stored.map(({ id }) => id));
    for (const table of stored) await this.#journal.note(table);
    await this.session.run("COMMIT");
  }

  async layouts(): Promise<StoredLayouts> {
    const layouts = await readLayouts(this.session);
    if (layouts === undefined) throw new Error("A schema is put before its layouts are read");
    return layouts;
  }

  async #alter(table: string, what: string): Promise<void> {
    await this.session.run(`ALTER TABLE ${quoteName(table)} ${what}`);
  }

  /** What is known of a table that is to be changed. */
  #stored(name: string): StoredTable {
    const stored = this.#journal.named(name);
    if (stored === undefined) throw new Error(`Nothing is known of table ${name}`);
    return stored;
  }

  async #renameTable({ from, to }: Step<"renameTable">): Promise<void> {
    const after = { ...this.#stored(from), name: to };
    await this.#journal.step(() => this.#alter(from, `RENAME TO ${quoteName(to)}`), after);
  }

  async #renameColumn({ table, from, to }: Step<"renameColumn">): Promise<void> {
    const stored = this.#stored(table);
    const columns = stored.columns.map((each) => each.name === from ? { ...each, name: to } : each);
    await this.#journal.step(
      () => this.#alter(table, `RENAME COLUMN ${quoteName(from)} TO ${quoteName(to)}`),
      { ...stored, columns },
      to,
    );
  }

  async #create({ table: { id, table, columnIds }, extras }: Step<"createTable">): Promise<void> {
    const { primaryKey } = table;
    const lines = [
      ...table.columns.map((column) => definition(column, primaryKey)),
      ...extras.map((extra) => `${quoteName(extra)} ${EXTRAS[extra] ?? "longtext"}`),
      `PRIMARY KEY (${primaryKey.map(({ name }) => quoteName(name)).join(", ")})`,
    ];
    const { collation } = this.session.facts;
    const statement = `CREATE TABLE ${quoteName(table.name)} (${lines.join(", ")}) ` +
      `ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE ${collation}`;
    const columns = table.columns.map(({ name, type }, i) => ({
      id: columnIds[i] ?? 0,
      name,
      type,
    }));
    await this.#journal.step(
      async () => void await this.session.run(statement),
      { id, name: table.name, isAdopted: false, extras, columns },
    );
  }

  async #addColumn({ table, column, columnId }: Step<"addColumn">): Promise<void> {
    const stored = this.#stored(table);
    const columns = [
      ...stored.columns.filter(({ id }) => id !== columnId),
      { id: columnId, name: column.name, type: column.type },
    ];
    await this.#journal.step(
      () => this.#alter(table, `ADD COLUMN ${definition(column, [column])}`),
      { ...stored, columns },
      column.name,
    );
  }

  async #addExtra({ table, extra }: Step<"addExtra">): Promise<void> {
    const stored = this.#stored(table);
    await this.#journal.step(
      () => this.#alter(table, `ADD COLUMN ${quoteName(extra)} ${EXTRAS[extra] ?? "longtext"}`),
      { ...stored, extras: [...new Set([...stored.extras, extra])] },
      extra,
    );
  }

  /** Checks that a table that is there can be written as one that LakeSync made, and adopts it. */
  async #check({ table: { id, table, columnIds }, columns }: Step<"checkTable">): Promise<void> {
    const types = (await existingTables(this.session)).get(table.name);
    for (const column of columns) {
      const there = types?.get(column.name);
      const misfit = there && incompatibility(column, there);
      if (misfit === undefined) continue;
      refuse(
        `Column ${column.name} of table ${table.name} ${misfit}; change it, or do not adopt the ` +
          `table`,
      );
    }
    const [row] = await this.session.run(
      `SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ` +
        `AND TABLE_NAME = ${text(table.name)}`,
    );
    if (textOf(row?.[0]) !== "InnoDB") {
      refuse(`Table ${table.name} is not of InnoDB, and only those have transactions: convert it`);
    }
    const keys = await this.session.run(
      `SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ` +
        `AND TABLE_NAME = ${text(table.name)} AND INDEX_NAME = 'PRIMARY' AND SUB_PART IS NULL`,
    );
    const wanted = JSON.stringify(table.primaryKey.map(({ name }) => name).sort());
    if (JSON.stringify(keys.map(([name]) => textOf(name)).sort()) !== wanted) {
      refuse(`The primary key of table ${table.name} is not ${wanted}: do not adopt the table`);
    }
    const known = new Set(columns.map(({ name }) => name));
    const stored = table.columns.flatMap(({ name, type }, i) =>
      known.has(name) ? [{ id: columnIds[i] ?? 0, name, type }] : []
    );
    const adopted = { id, name: table.name, isAdopted: true, extras: [], columns: stored };
    await this.#journal.note(adopted, false);
  }

  async #widen({ table, column }: Step<"widenColumn">): Promise<void> {
    const there = (await existingTables(this.session)).get(table)?.get(column.name);
    const schemaTable = this.#stored(table);
    const after = {
      ...schemaTable,
      columns: schemaTable.columns.map((each) =>
        each.name === column.name ? { ...each, type: column.type } : each
      ),
    };
    if (there === undefined || incompatibility(column, there) !== undefined) {
      const name = quoteName(column.name);
      if (column.type === "number") {
        const rows = await this.session.run(
          `SELECT 1 FROM ${quoteName(table)} WHERE ${name} NOT BETWEEN ` +
            `${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER} LIMIT 1`,
        );
        if (rows.length > 0) {
          refuse(
            `Column ${column.name} of table ${table} holds integers that double may not hold ` +
              `exactly: change those values, or give the column another name in the schema`,
          );
        }
      }
      await this.#dropReferences(table);
      await this.#alter(table, `MODIFY COLUMN ${definition(column, [column])}`);
    }
    await this.#journal.note(after, false);
  }

  /** Takes off the foreign keys from and to a table; those that are wanted are made again. */
  async #dropReferences(table: string): Promise<void> {
    const rows = await this.session.run(
      `SELECT CONSTRAINT_NAME, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS ` +
        `WHERE CONSTRAINT_SCHEMA = DATABASE() ` +
        `AND LEFT(CONSTRAINT_NAME, ${REFERENCE_PREFIX.length}) = '${REFERENCE_PREFIX}' ` +
        `AND (TABLE_NAME = ${text(table)} OR REFERENCED_TABLE_NAME = ${text(table)})`,
    );
    for (const [name, child] of rows.map((row) => row.map(textOf))) {
      await this.#alter(child ?? "", `DROP FOREIGN KEY ${quoteName(name ?? "")}`);
      await this.#alter(child ?? "", `DROP INDEX ${quoteName(name ?? "")}`);
    }
  }

  async #index(table: string, name: string, column: string): Promise<void> {
    const rows = await this.session.run(
      `SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ` +
        `AND TABLE_NAME = ${text(table)} AND INDEX_NAME = ${text(name)} LIMIT 1`,
    );
    if (rows.length === 0) await this.#alter(table, `ADD INDEX ${quoteName(name)} (${column})`);
  }

  /** Bounds the length of a text that is to have an index. */
  async #bound(table: string, column: Column, native: string): Promise<void> {
    const length = /^varchar\((\d+)\)/.exec(native)?.[1];
    const there = (await existingTables(this.session)).get(table)?.get(column.name);
    if (length === undefined || there?.type !== "longtext") return;
    const name = quoteName(column.name);
    const rows = await this.session.run(
      `SELECT 1 FROM ${quoteName(table)} WHERE CHAR_LENGTH(${name}) > ${length} LIMIT 1`,
    );
    if (rows.length > 0) {
      refuse(
        `Column ${column.name} of table ${table} holds texts that are longer than the ${length} ` +
          `characters that a column that references a table can hold: shorten them`,
      );
    }
    await this.#alter(table, `MODIFY COLUMN ${name} ${native}`);
  }

  /** Lets texts be of any length that were bounded for a reference that there is no more. */
  async #freeTexts({ tables }: StoredLayouts): Promise<void> {
    const existing = await existingTables(this.session);
    for (const { table, columns } of tables.values()) {
      if (this.#journal.named(table.name)?.isAdopted) continue;
      for (const { column: { name }, native } of columns) {
        const there = existing.get(table.name)?.get(name)?.type;
        if (native !== "longtext" || there?.startsWith("varchar") !== true) continue;
        await this.#alter(table.name, `MODIFY COLUMN ${quoteName(name)} ${native}`);
      }
    }
  }
}

function definition(column: Column, primaryKey: readonly Column[]): string {
  const end = column.key ? " NOT NULL" : "";
  return `${quoteName(column.name)} ${nativeOf(column, primaryKey)}${end}`;
}

function constraintName({ child, columnId, parent }: Reference): string {
  return `${REFERENCE_PREFIX}${child}_${columnId}_${parent}`;
}

/**
 * Whether a foreign key is made of a reference. Not of one that is part of the key, in a circle: it
 * could not be left out at first. That its rows are there is still looked after.
 */
function isConstrained(
  schema: DestinationSchema,
  { child, columnId, parent }: Reference,
): boolean {
  const { tables } = schema;
  const table = tables.find(({ id }) => id === child);
  const column = table?.table.columns[table.columnIds.indexOf(columnId)];
  if (column?.key !== true) return true;
  return !writeOrder(tables, referencesOf(schema, canReference))
    .some((group) => group.includes(child) && group.includes(parent));
}

function refuse(what: string): never {
  throw new DestinationError("stop", what);
}
