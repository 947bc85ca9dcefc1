/**
 * How a cell is captured by its column's merge kind, as SQL for the triggers. The outbox keeps
 *
 * | kind | of an INSERT | of an UPDATE |
 * | --- | --- | --- |
 * | `lww`, `max`, `min` | the value | the new value |
 * | `counter` | the value, as text | the difference, as text |
 * | `set` | `{"add":[…]}` | `{"add":[…],"remove":[…]}`, without empty lists |
 *
 * A counter's increment is text, which no integer column holds, so that an outbox row tells by
 * itself what it is. NULL counts as 0 and as no elements; that a cell becomes NULL, or is no longer
 * NULL, is captured as an increment of 0 or a difference without elements.
 *
 * SQLite leaves open what an UPDATE does when a BEFORE trigger changes the same row; a counter's
 * increment would be captured twice then.
 *
 * @module
 */

import type { ColumnType, MergeKind } from "@lakesync/core";

/** Elements of a set that one change may add and remove, as the gateway bounds them. */
export const MAX_SET_CHANGES = 10_000;

/** The kind of JSON that `x` is; NULL when it is none. */
function jsonType(x: string): string {
  return `json_type(CASE WHEN json_valid(${x}) THEN ${x} END)`;
}

/** A text that is an array whatever `x` is. */
function arrayOf(x: string): string {
  return `CASE WHEN ${jsonType(x)} = 'array' THEN ${x} ELSE '[]' END`;
}

/** Elements with what tells them apart: their kind `k` and value `v`, both as JavaScript has them. */
function identities(x: string): string {
  return `SELECT CASE WHEN type IN ('integer', 'real') THEN 'number' ELSE type END AS k,
      CASE WHEN type IN ('integer', 'real') THEN CAST(value AS REAL) ELSE value END AS v,
      type, value, fullkey FROM json_each(${arrayOf(x)})`;
}

/** The elements of `x` that `y` lacks, as a row of an operation and a JSON array, or no row. */
function lacking(operation: string, x: string, y: string): string {
  // Older SQLites write 15 digits of a REAL, so fractions are copied as they are written.
  return `SELECT '${operation}' AS operation, json_group_array(json(written)) AS elements FROM
      (SELECT min(CASE WHEN type IN ('true', 'false') THEN type
          WHEN typeof(value) = 'real' THEN ${x} -> fullkey
          WHEN type = 'integer' THEN value ELSE json_quote(value) END) AS written
        FROM (${identities(x)}) WHERE (k, v) NOT IN (SELECT k, v FROM (${identities(y)}))
        GROUP BY k, v) HAVING count(*) > 0`;
}

function elementsDiffer(x: string, y: string): string {
  const [a, b] = [x, y].map((z) => `SELECT k, v FROM (${identities(z)})`);
  return `EXISTS (${a} EXCEPT ${b}) OR EXISTS (${b} EXCEPT ${a})`;
}

function difference(x: string, y: string): string {
  return `(SELECT coalesce(nullif(json_group_object(operation, json(elements)), '{}'), '{"add":[]}')
      FROM (${lacking("add", x, y)} UNION ALL ${lacking("remove", y, x)}))`;
}

function wholeNumber(x: string): string {
  return `CASE typeof(${x}) WHEN 'integer' THEN ${x} ELSE 0 END`;
}

/**
 * By how much a counter changes.
 *
 * @param x its new value as SQL
 * @param y its old value as SQL
 * @returns an expression; of type REAL when the difference does not fit 64 bits
 */
export function incrementSql(x: string, y: string): string {
  return `(${wholeNumber(x)}) - (${wholeNumber(y)})`;
}

/**
 * Whether an UPDATE changed a cell. An integer that became a REAL of the same value did change: no
 * integer column takes it, and in a key it makes another rowId.
 *
 * @param kind its column's merge kind
 * @param type its column's type
 * @param x its new value as SQL
 * @param y its old value as SQL
 * @returns a condition that is never NULL
 */
export function differsSql(kind: MergeKind, type: ColumnType, x: string, y: string): string {
  const differs = `${x} COLLATE BINARY IS NOT ${y} COLLATE BINARY`;
  if (type === "integer") return `(${differs} OR typeof(${x}) <> typeof(${y}))`;
  if (kind !== "set") return differs;
  return `(${differs} AND (${x} IS NULL OR ${y} IS NULL OR ${jsonType(x)} IS NOT 'array' OR ` +
    `${elementsDiffer(x, y)}))`;
}

/**
 * What the outbox keeps of an INSERT.
 *
 * @param kind the column's merge kind
 * @param x the value as SQL
 * @returns an expression
 */
export function insertedSql(kind: MergeKind, x: string): string {
  if (kind === "counter") return `CAST(${x} AS TEXT)`;
  return kind === "set" ? `CASE WHEN ${x} IS NOT NULL THEN ${difference(x, "NULL")} END` : x;
}

/**
 * What the outbox keeps of an UPDATE that changed a cell.
 *
 * @param kind the column's merge kind
 * @param x the new value as SQL
 * @param y the old value as SQL
 * @returns an expression
 */
export function updatedSql(kind: MergeKind, x: string, y: string): string {
  if (kind === "counter") return `CAST(${incrementSql(x, y)} AS TEXT)`;
  return kind === "set" ? difference(x, y) : x;
}

/**
 * How many elements a captured change of a set names.
 *
 * @param cell the outbox's cell as SQL
 * @returns an expression
 */
export function elementCountSql(cell: string): string {
  return ["add", "remove"]
    .map((list) => `coalesce(json_array_length(${cell}, '$.${list}'), 0)`)
    .join(" + ");
}
