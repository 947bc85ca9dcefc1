/**
 * The tables and columns of a lake for the tables and columns of a schema. A column's field id is its
 * number plus 1,000; LakeSync's own are below. A column whose type widens in a way that Iceberg does
 * not know gets another field, and the one before stays beside it with the values that it has. Pure
 * functions.
 *
 * @module
 */

import { type ColumnType, decimalParts, type MergeKind, type Table, widens } from "@lakesync/core";
import type { DestinationTable } from "../../adapter.ts";
import type { LakeField, LakeSchema, LakeType } from "../iceberg/schema.ts";
import type { ChangesLayout, LayoutColumn } from "./changes.ts";

/** The first of the numbers that a schema's columns have in the lake, less 1. */
const FIRST_FIELD = 1_000;

/** A column's further fields are so far apart. */
const GENERATION = 1_000_000;

/** LakeSync's columns of a table of changes. */
export const CHANGE_FIELDS: readonly LakeField[] = [
  own(1, "_op", "string", "INSERT, UPDATE or DELETE; SET for a row that was set whole"),
  own(2, "_row", "string", "the row"),
  own(3, "_client_id", "string", "who wrote it"),
  own(
    4,
    "_hlc",
    "long",
    "when it was written: milliseconds since 1970 times 65536, plus a counter",
  ),
  own(5, "_seq", "long", "the gateway's commit"),
  own(6, "_slice", "int", "the part of a large commit; null: after all of them"),
  own(7, "_mutation_id", "long", "the client's transaction"),
  own(8, "_delta_id", "string", "the change's identity"),
  own(9, "_committed_at", "timestamptz", "when it was committed"),
  own(10, "_schema_version", "int", "the schema version whose names it uses"),
  own(11, "_changed", "string", "JSON: the names that were written"),
  own(12, "_raw", "string", "JSON: values that the columns do not say"),
  own(13, "_effect", "string", "JSON: what became of the row, where the change does not say it"),
];

/** What a table for changes of tables that nobody knows has beside those. */
export const OTHER_FIELDS: readonly LakeField[] = [
  own(14, "_table", "string", "the table, by the name its writer knew"),
  own(15, "_table_id", "int", "the table's number, where it is known"),
];

/**
 * Names that engines give to columns of their own: some refuse a table that has one of them.
 * Source: Iceberg table specification, "Reserved Field IDs".
 */
const METADATA_COLUMNS: readonly string[] = [
  "_file",
  "_pos",
  "_deleted",
  "_spec_id",
  "_partition",
  "_row_id",
  "_last_updated_sequence_number",
  "_change_type",
  "_change_ordinal",
  "_commit_snapshot_id",
];

/** The column that tables of changes are partitioned by, by its day. */
export const COMMITTED_AT = 9;

/** The column with the commit. */
export const SEQ = 5;

/** The column with the slice of the commit. */
export const SLICE = 6;

/** The column with the row. */
export const ROW = 2;

function own(id: number, name: string, type: LakeType, doc: string): LakeField {
  return { id, name, type, required: false, doc };
}

/** One of the fields that have a column's values. */
export interface ColumnField {
  /** The field's id. */
  readonly id: number;
  /** Its name in the lake. */
  readonly name: string;
  /** Its type in the lake. */
  readonly type: LakeType;
  /** The type that its values have at LakeSync. */
  readonly from: ColumnType;
}

/** A column of a synced table in the lake. */
export interface LakeColumn extends LayoutColumn {
  /** Its field. */
  readonly field: ColumnField;
  /** Fields that had its values before it was widened, oldest first; a row has one of them. */
  readonly former: readonly ColumnField[];
}

/** A synced table in the lake. */
export interface LakeTable extends ChangesLayout {
  /** Its columns; those that the schema no longer has behind the others. */
  readonly columns: readonly LakeColumn[];
  /** The numbers of the key's columns, in the order of the rowId. */
  readonly key: readonly number[];
}

/**
 * The type that a column has in the lake.
 *
 * @param type its type
 * @param isKey whether it is part of the key: a key that can be written in two ways is a text
 */
export function lakeType(type: ColumnType, isKey: boolean): LakeType {
  if (type === "integer") return "long";
  if (type === "number") return "double";
  if (type === "boolean" || type === "date") return type;
  if (type === "bytes") return "binary";
  if (type === "timestamp") return isKey ? "string" : "timestamptz";
  const decimal = decimalParts(type);
  if (decimal === undefined || isKey) return "string";
  return `decimal(${decimal.precision}, ${decimal.scale})`;
}

/** Whether a field may get a type without its files being written anew. */
function promotes(from: LakeType, to: LakeType): boolean {
  if (from === to) return true;
  const [narrow, wide] = [decimalParts(from), decimalParts(to)];
  return narrow !== undefined && wide !== undefined && narrow.scale === wide.scale &&
    narrow.precision <= wide.precision;
}

/**
 * Plans a table of the lake.
 *
 * @param wanted the table as the schema has it
 * @param version the schema's version
 * @param before the table as it was last made ready; undefined when it is new
 * @returns the table as it is to be, or why it cannot be
 */
export function planTable(
  { id, table, columnIds }: DestinationTable,
  version: number,
  before: LakeTable | undefined,
): LakeTable | string {
  const known = new Map(before?.columns.map((column) => [column.number, column]));
  const names = new Map(before?.names);
  const columns: LakeColumn[] = [];
  for (const [i, { name, type, merge, key: isKey }] of table.columns.entries()) {
    const number = columnIds[i] ?? 0;
    if (!names.has(name)) names.set(name, number);
    const old = known.get(number);
    const fields = fieldsOf(number, type, isKey, old);
    if (typeof fields === "string") return `Column ${name} of table ${table.name} ${fields}`;
    if (isKey && old === undefined && before !== undefined) {
      return `Table ${table.name} has a new key column ${name}, which its rows do not have`;
    }
    columns.push({ number, name, type, merge, isKey, ...fields });
  }
  const current = new Set(columnIds);
  const gone = before?.columns.filter(({ number }) => !current.has(number)) ?? [];
  return {
    table: id,
    firstName: before?.firstName ?? table.name,
    names,
    columns: named([...columns, ...gone]),
    key: table.primaryKey.map(({ name }) =>
      columnIds[table.columns.findIndex((column) => column.name === name)] ?? 0
    ),
    newest: table,
    version,
  };
}

function fieldsOf(
  number: number,
  type: ColumnType,
  isKey: boolean,
  old: LakeColumn | undefined,
): Pick<LakeColumn, "field" | "former"> | string {
  const wanted = lakeType(type, isKey);
  const id = FIRST_FIELD + number;
  if (old === undefined) return { field: { id, name: "", type: wanted, from: type }, former: [] };
  const { field, former } = old;
  if (field.from !== type && !widens(field.from, type)) {
    return `cannot become ${type} from ${field.from} without losing values, give it another name`;
  }
  if (promotes(field.type, wanted)) {
    return { field: { ...field, type: wanted, from: type }, former };
  }
  if (isKey) return `is part of the key and cannot become ${type}, give the table another name`;
  const next = { id: field.id + GENERATION, name: "", type: wanted, from: type };
  return { field: next, former: [...former, field] };
}

/** Gives names that differ from each other, and from LakeSync's own, whatever the case. */
function named(columns: readonly LakeColumn[]): readonly LakeColumn[] {
  const own = [...CHANGE_FIELDS, ...OTHER_FIELDS].map(({ name }) => name);
  const taken = new Set([...own, ...METADATA_COLUMNS]);
  const free = (wanted: string) => freeName(wanted, taken);
  const current = columns.map((column) => ({
    ...column,
    field: { ...column.field, name: free(column.name) },
  }));
  return current.map((column) => ({
    ...column,
    former: column.former.map((field) => ({
      ...field,
      name: free(`${column.name}_${field.from.replace(/\W+/g, "_")}`),
    })),
  }));
}

/**
 * A name that is not taken, whatever the case: itself, or with `_1`, `_2` … behind it.
 *
 * @param wanted the name
 * @param taken names in lower case; the new one is added
 */
export function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let i = 1; taken.has(name.toLowerCase()); i++) name = `${wanted}_${i}`;
  taken.add(name.toLowerCase());
  return name;
}

function fieldsIn(columns: readonly LakeColumn[], isRequired: boolean): readonly LakeField[] {
  const all = columns.flatMap(({ field, isKey }): LakeField[] => [
    { id: field.id, name: field.name, type: field.type, required: isRequired && isKey },
  ]);
  const former = columns.flatMap((column) => column.former)
    .map(({ id, name, type }): LakeField => ({ id, name, type, required: false }));
  return [...all, ...former];
}

/**
 * The schema of the table of a table's changes.
 *
 * @param table the table
 */
export function changesSchema({ columns }: LakeTable): LakeSchema {
  return { fields: [...CHANGE_FIELDS, ...fieldsIn(columns, false)] };
}

/**
 * The schema of the table of a table's rows.
 *
 * @param table the table
 */
export function rowsSchema({ columns, key }: LakeTable): LakeSchema {
  return { fields: fieldsIn(columns, true), identifierFieldIds: keyFieldIds({ columns, key }) };
}

/** The field ids of the key's columns, in the order of the rowId. */
export function keyFieldIds({ columns, key }: Pick<LakeTable, "columns" | "key">): number[] {
  return key.map((number) => columns.find((column) => column.number === number)?.field.id ?? 0);
}

/** A table as JSON, with short names since it is in every metadata object. */
interface StoredTable {
  readonly table: number;
  readonly firstName: string;
  readonly names: readonly (readonly [string, number])[];
  readonly key: readonly number[];
  readonly version: number;
  readonly columns: readonly {
    readonly number: number;
    readonly name: string;
    readonly type: ColumnType;
    readonly merge: MergeKind;
    readonly isKey: boolean;
    readonly field: ColumnField;
    readonly former: readonly ColumnField[];
  }[];
}

/**
 * Writes a table as JSON, for a property of its tables in the lake.
 *
 * @param table the table
 */
export function printTable({ table, firstName, names, key, version, columns }: LakeTable): string {
  const stored: StoredTable = { table, firstName, names: [...names], key, version, columns };
  return JSON.stringify(stored);
}

/**
 * Reads a table that {@linkcode printTable} wrote.
 *
 * @param json the JSON
 * @param newest the table as the newest schema has it; only needed to write changes
 */
export function parseTable(json: string, newest?: Table): LakeTable {
  const { names, ...stored }: StoredTable = JSON.parse(json);
  return { ...stored, names: new Map(names), newest };
}
