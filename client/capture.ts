/**
 * Capture: triggers that write every change of a synced table into the outbox, in the app's own
 * transaction, whatever statement or connection made it.
 *
 * Each captured change gets the next number `n` and the next stamp from the clock row. Sealing,
 * which groups numbers into transactions, is in seal.ts.
 *
 * @module
 */

import { DEFAULT_LIMITS, type MergeKind } from "@lakesync/core";
import { guardAppTriggers } from "./app_triggers.ts";
import {
  differsSql,
  elementCountSql,
  insertedSql,
  MAX_SET_CHANGES,
  updatedSql,
} from "./capture_kinds.ts";
import { checkElements, checkIncrement, checkKey, checkValue } from "./checks.ts";
import type { SqliteConnection } from "./database/driver.ts";
import {
  type Layout,
  MASK_BITS,
  maskNames,
  type PlacedColumn,
  type SyncedTable,
} from "./layout.ts";
import { joinBalanced, quoteName, quoteText } from "./sql.ts";

/** How the outbox writes an operation. */
export const OP = { INSERT: 0, UPDATE: 1, DELETE: 2 } as const;

/** Milliseconds since 1970 by the gateway's clock, as far as it is known, as SQL. */
export const NOW_MS =
  "(coalesce(fixed_ms, CAST(unixepoch('subsec') * 1000 AS INTEGER)) + offset_ms)";

/** What a change costs on its way beside its texts and blobs, roughly. */
const ROW_BYTES = 24;
const CELL_BYTES = 5;

/** Branches of one CASE; SQLite bounds how many there may be. */
const BRANCHES = 400;

/**
 * Writes a row's rowId as SQL. It equals core's `rowIdOf`.
 *
 * @param table the table
 * @param keys the key's values as SQL
 * @returns an expression of type TEXT
 */
export function rowIdSql(table: SyncedTable, keys: readonly string[]): string {
  const parts = table.table.primaryKey.map(({ type }, i) => {
    const x = keys[i] ?? "NULL";
    if (type !== "integer" || keys.length === 1) return x;
    return `CASE WHEN ${x} BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER} ` +
      `THEN ${x} ELSE CAST(${x} AS TEXT) END`;
  });
  return keys.length === 1 ? `CAST(${parts[0]} AS TEXT)` : `json_array(${parts.join(", ")})`;
}

/** Refusals, as many to a CASE as SQLite takes. */
function casesOf(branches: readonly string[], from: string): string {
  let sql = "";
  for (let i = 0; i < branches.length; i += BRANCHES) {
    const some = branches.slice(i, i + BRANCHES).join("\n    ");
    sql += `  SELECT CASE ${some} END FROM ${from};\n`;
  }
  return sql;
}

class TriggerWriter {
  readonly #table: SyncedTable;
  readonly #masks: readonly string[];
  readonly #oldId: string;
  readonly #newId: string;

  constructor(table: SyncedTable, masks: readonly string[]) {
    this.#table = table;
    this.#masks = masks;
    this.#oldId = rowIdSql(table, this.#keys("OLD"));
    this.#newId = rowIdSql(table, this.#keys("NEW"));
  }

  #keys(row: "OLD" | "NEW"): string[] {
    return this.#table.table.primaryKey.map(({ name }) => `${row}.${quoteName(name)}`);
  }

  #mergeOf({ name }: PlacedColumn): MergeKind {
    return this.#table.table.byName.get(name)?.merge ?? "lww";
  }

  #differs(column: PlacedColumn): string {
    const name = quoteName(column.name);
    return differsSql(this.#mergeOf(column), column.type, `NEW.${name}`, `OLD.${name}`);
  }

  #keyDiffers(): string {
    const differ = this.#table.table.primaryKey.map(({ name, type }) =>
      differsSql("lww", type, `NEW.${quoteName(name)}`, `OLD.${quoteName(name)}`)
    );
    return joinBalanced(differ, "OR", "0");
  }

  #check(branches: readonly string[]): string {
    const { maxTransactionDeltas, maxTransactionBytes } = DEFAULT_LIMITS;
    const limits = [
      `WHEN n - sealed_n >= ${maxTransactionDeltas} THEN RAISE(ABORT, ${
        quoteText(
          `LakeSync: a transaction takes at most ${maxTransactionDeltas} changes`,
        )
      })`,
      `WHEN bytes >= ${maxTransactionBytes} THEN RAISE(ABORT, ${
        quoteText(
          `LakeSync: a transaction takes at most ${maxTransactionBytes} bytes`,
        )
      })`,
    ];
    return casesOf([...limits, ...branches], "_lakesync_clock");
  }

  #checkValue(column: PlacedColumn, when: string): string {
    const { name } = this.#table;
    return checkValue(
      name,
      { ...column, merge: this.#mergeOf(column) },
      `NEW.${quoteName(column.name)}`,
      when,
    );
  }

  /** Keeps the row as it was, when this is its first pending write. */
  #keepBase(): string {
    const { id, columns } = this.#table;
    const names = columns.map(({ position }) => `, v${position}`).join("");
    const values = columns.map(({ name }) => `, OLD.${quoteName(name)}`).join(
      "",
    );
    const row = `tbl = ${id} AND row_id = ${this.#oldId}`;
    return `  INSERT INTO _lakesync_base (tbl, row_id, present${names})
    SELECT ${id}, ${this.#oldId}, 1${values}
    WHERE NOT EXISTS (SELECT 1 FROM _lakesync_base WHERE ${row})
      AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox WHERE ${row}
        AND n > (SELECT covered_n FROM _lakesync_clock));\n`;
  }

  #tick(bytes: string): string {
    return `  UPDATE _lakesync_clock SET n = n + 1, hlc = max(hlc + 1, ${NOW_MS} << 16), bytes = bytes + ${bytes};\n`;
  }

  #put(
    op: number,
    rowId: string,
    masks: readonly string[],
    columns: readonly PlacedColumn[],
    values: readonly string[],
  ): string {
    const names = [
      "n, hlc, tbl, op, row_id",
      ...this.#masks,
      ...columns.map(({ position }) => `v${position}`),
    ];
    const cells = [
      `n, hlc, ${this.#table.id}, ${op}, ${rowId}`,
      ...masks,
      ...values,
    ];
    return `  INSERT INTO _lakesync_outbox (${names.join(", ")})
    SELECT ${cells.join(", ")} FROM _lakesync_clock;\n`;
  }

  #bytes(rowId: string, cells: readonly [PlacedColumn, string][]): string {
    const lengths = cells
      .filter(([column]) =>
        !["integer", "number", "boolean"].includes(column.type) && this.#mergeOf(column) !== "set"
      )
      .map(([, x]) => `coalesce(octet_length(${x}), 0)`);
    return joinBalanced(
      [
        `${ROW_BYTES + CELL_BYTES * cells.length}`,
        `octet_length(${rowId})`,
        ...lengths,
      ],
      "+",
      "0",
    );
  }

  /** How large the change of a set is, is known once it was computed. */
  #afterPut(): string {
    const { name, columns } = this.#table;
    const sets = columns.filter((column) => this.#mergeOf(column) === "set");
    if (sets.length === 0) return "";
    const lengths = sets.map(({ position }) => `coalesce(octet_length(v${position}), 0)`);
    const captured = "_lakesync_outbox WHERE n = (SELECT n FROM _lakesync_clock)";
    const branches = sets.map((column) =>
      checkElements(
        name,
        column.name,
        `${elementCountSql(`v${column.position}`)} > ${MAX_SET_CHANGES}`,
      )
    );
    return casesOf(branches, captured) +
      `  UPDATE _lakesync_clock SET bytes = bytes + (SELECT ${
        joinBalanced(lengths, "+", "0")
      } FROM ${captured});\n`;
  }

  #insertOf(): string {
    const { columns } = this.#table;
    const values = columns.map((column) =>
      insertedSql(this.#mergeOf(column), `NEW.${quoteName(column.name)}`)
    );
    const masks = this.#masks.map(() => 0);
    for (const { position } of columns) {
      const mask = Math.floor(position / MASK_BITS);
      masks[mask] = (masks[mask] ?? 0) + 2 ** (position % MASK_BITS);
    }
    const cells = columns.map((column, i): [PlacedColumn, string] => [
      column,
      values[i] ?? "NULL",
    ]);
    return this.#tick(this.#bytes(this.#newId, cells)) +
      this.#put(OP.INSERT, this.#newId, masks.map(String), columns, values) + this.#afterPut();
  }

  #deleteOf(): string {
    const masks = this.#masks.map(() => "0");
    return this.#tick(this.#bytes(this.#oldId, [])) +
      this.#put(OP.DELETE, this.#oldId, masks, [], []);
  }

  #checkAll(): string {
    const { table, columns } = this.#table;
    return this.#check([
      ...checkKey(table, this.#keys("NEW"), this.#newId),
      ...columns.map((column) => this.#checkValue(column, "1")),
    ]);
  }

  insert(): string {
    return this.#checkAll() + this.#insertOf();
  }

  delete(): string {
    return this.#check([]) + this.#keepBase() + this.#deleteOf();
  }

  /** An UPDATE of the key is a DELETE and an INSERT. */
  move(): string {
    return this.#checkAll() + this.#keepBase() + this.#deleteOf() +
      this.#insertOf();
  }

  update(): string {
    const { name, columns } = this.#table;
    const values = columns.map((column) => {
      const [x, y] = ["NEW", "OLD"].map((row) => `${row}.${quoteName(column.name)}`);
      const value = updatedSql(this.#mergeOf(column), x ?? "", y ?? "");
      return `CASE WHEN ${this.#differs(column)} THEN ${value} END`;
    });
    const masks = this.#masks.map((_, mask) =>
      joinBalanced(
        columns
          .filter(({ position }) => Math.floor(position / MASK_BITS) === mask)
          .map((column) => `(${this.#differs(column)}) * ${2 ** (column.position % MASK_BITS)}`),
        "+",
        "0",
      )
    );
    const cells = columns.map((column, i): [PlacedColumn, string] => [
      column,
      values[i] ?? "NULL",
    ]);
    const increments = columns
      .filter((column) => this.#mergeOf(column) === "counter")
      .map((column) => checkIncrement(name, column.name));
    return this.#check([
      ...columns.map((column) => this.#checkValue(column, this.#differs(column))),
      ...increments,
    ]) + this.#keepBase() + this.#tick(this.#bytes(this.#newId, cells)) +
      this.#put(OP.UPDATE, this.#newId, masks, columns, values) + this.#afterPut();
  }

  triggers(): string[] {
    const { name, columns } = this.#table;
    const changed = joinBalanced(
      columns.map((column) => this.#differs(column)),
      "OR",
      "0",
    );
    const moved = this.#keyDiffers();
    const make = (kind: string, event: string, when: string, body: string) =>
      `CREATE TRIGGER ${quoteName(triggerName(name, kind))} AFTER ${event} ON ${
        quoteName(name)
      } WHEN (SELECT applying FROM _lakesync_clock) = 0${when}\nBEGIN\n${body}END`;
    return [
      make("insert", "INSERT", "", this.insert()),
      make("delete", "DELETE", "", this.delete()),
      make("move", "UPDATE", ` AND ${moved}`, this.move()),
      make(
        "update",
        "UPDATE",
        ` AND NOT ${moved} AND ${changed}`,
        this.update(),
      ),
    ];
  }
}

/**
 * Writes the statements that capture an INSERT of the row `NEW`.
 *
 * @param table the table
 * @param layout where columns are kept
 * @returns the body of a trigger
 */
export function insertBody(table: SyncedTable, layout: Layout): string {
  return new TriggerWriter(table, maskNames(layout)).insert();
}

function triggerName(table: string, kind: string): string {
  return `_lakesync_${table}_${kind}`;
}

const WRITTEN = new WeakMap<Layout, Map<number, readonly string[]>>();

/** The triggers of a table; they are the same as long as the layout is. */
function triggersOf(layout: Layout, table: SyncedTable): readonly string[] {
  const written = WRITTEN.get(layout) ?? new Map<number, readonly string[]>();
  WRITTEN.set(layout, written);
  const known = written.get(table.id);
  if (known !== undefined) return known;
  const triggers = new TriggerWriter(table, maskNames(layout)).triggers();
  written.set(table.id, triggers);
  return triggers;
}

/**
 * Makes the triggers of all tables what they should be, and drops those of tables that the schema
 * no longer has. SQLite fires the newest trigger first; ours must see a change before the app's
 * own triggers change more, so they are made anew when one of the app's is newer. A table that is
 * being rebuilt, and so not there at the moment, is passed over. Runs inside a transaction.
 *
 * @param db the writer
 * @param layout the layout
 * @returns whether anything had to be changed
 */
export async function installTriggers(
  db: SqliteConnection,
  layout: Layout,
): Promise<boolean> {
  await guardAppTriggers(db, layout);
  const there = await db.values(
    "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid",
  );
  const folded = new Set([...layout.byName.keys()].map((name) => name.toLowerCase()));
  let changed = false;
  for (const [name, table] of there) {
    if (
      String(name).startsWith("_lakesync_") &&
      !folded.has(String(table).toLowerCase())
    ) {
      await db.script(`DROP TRIGGER ${quoteName(String(name))}`);
      changed = true;
    }
  }
  const tables = await db.values("SELECT lower(name) FROM sqlite_schema WHERE type = 'table'");
  const existing = new Set(tables.map(([name]) => name));
  for (const table of layout.byName.values()) {
    if (!existing.has(table.name.toLowerCase())) continue;
    const wanted = triggersOf(layout, table);
    const last = there
      .filter(([, on]) => String(on).toLowerCase() === table.name.toLowerCase())
      .slice(-wanted.length);
    if (
      last.length === wanted.length &&
      last.every(([, , sql], i) => sql === wanted[i])
    ) continue;
    changed = true;
    for (const kind of ["insert", "delete", "move", "update"]) {
      await db.script(
        `DROP TRIGGER IF EXISTS ${quoteName(triggerName(table.name, kind))}`,
      );
    }
    for (const sql of wanted) await db.script(sql);
  }
  return changed;
}
