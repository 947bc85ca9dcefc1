/**
 * The triggers and views of a random app. No table has two triggers of one time and event, since
 * SQLite does not say which of them runs first, and none writes before a change the row that is
 * changed, since SQLite does not say what then happens.
 *
 * @module
 */

import type { Choices } from "./choices.ts";
import { quoted } from "./sql_tables.ts";
import { goodValue } from "./sql_values.ts";
import type { AppColumn, AppTable } from "./sql_world.ts";

function isKey(row: "OLD" | "NEW", table: AppTable): string {
  return table.columns.filter(({ key }) => key).map(({ name }) =>
    `${quoted(name)} IS ${row}.${quoted(name)}`
  ).join(" AND ");
}

function valueFor(c: Choices, { type, merge }: AppColumn): string {
  return goodValue(c, type, merge === "set");
}

/** SQLite chooses the order of several rows, which may decide what is left of them. */
function oneRow(c: Choices, { columns }: AppTable): string {
  return columns.filter(({ key }) => key).map((column) =>
    `${quoted(column.name)} IS ${valueFor(c, column)}`
  ).join(" AND ");
}

function body(c: Choices, on: AppTable, event: string, after: boolean, all: readonly AppTable[]) {
  const row = event === "DELETE" ? "OLD" : "NEW";
  const [first] = on.columns;
  const key = `${row}.${quoted(first?.name ?? "id")}`;
  const target = c.pick(all);
  const columns = target.columns.filter((column) => !column.key);
  const others = on.columns.filter((column) => !column.key);
  const log = `INSERT INTO own (v) VALUES (${key})`;
  switch (c.below(7)) {
    case 1:
      if (!after || event === "DELETE" || others.length === 0) return log;
      return c.pick(
        others.map((column) =>
          `UPDATE ${quoted(on.name)} SET ${quoted(column.name)} = ${valueFor(c, column)} ` +
          `WHERE ${isKey("NEW", on)}`
        ),
      );
    case 2:
      if (target === on) return log;
      return `INSERT OR IGNORE INTO ${quoted(target.name)} (${
        target.columns.map(({ name }) => quoted(name)).join(", ")
      }) VALUES (${target.columns.map((column) => valueFor(c, column)).join(", ")})`;
    case 3:
      if (target === on || columns.length === 0) return log;
      return c.pick(
        columns.map((column) =>
          `UPDATE ${quoted(target.name)} SET ${quoted(column.name)} = ${valueFor(c, column)} ` +
          `WHERE ${oneRow(c, target)}`
        ),
      );
    case 4:
      return target === on ? log : `DELETE FROM ${quoted(target.name)}`;
    case 5:
      return `SELECT RAISE(${
        c.pick(["ABORT, 'no'", "IGNORE", "ROLLBACK, 'back'", "FAIL, 'so far'"])
      }) ` +
        `WHERE ${key} IS ${first === undefined ? "1" : valueFor(c, first)}`;
    case 6:
      return `DELETE FROM own WHERE v IS ${key}`;
    default:
      return log;
  }
}

/**
 * Writes triggers on tables that are synced.
 *
 * @param c what chooses
 * @param tables those tables
 */
export function writeTriggers(c: Choices, tables: readonly AppTable[]): string[] {
  const made = new Map<string, string>();
  for (let i = c.below(4); i > 0; i--) {
    const on = c.pick(tables);
    const event = c.pick(["INSERT", "UPDATE", "DELETE"]);
    const time = c.pick(["AFTER", "BEFORE"]);
    const name = quoted(`${time}_${event}_${on.name}`);
    const of = event === "UPDATE" && c.oneIn(2)
      ? ` OF ${c.some(on.columns).map((column) => quoted(column.name)).join(", ")}`
      : "";
    const row = event === "DELETE" ? "OLD" : "NEW";
    const when = c.oneIn(3) ? ` WHEN ${row}.${quoted(c.pick(on.columns).name)} IS NOT NULL` : "";
    const statements = c.list(1, 2, () => body(c, on, event, time === "AFTER", tables));
    made.set(
      name,
      `CREATE TRIGGER ${name} ${time} ${event}${of} ON ${quoted(on.name)}${when} BEGIN ${
        statements.map((statement) => `${statement};`).join(" ")
      } END`,
    );
  }
  return [...made.values()];
}

/**
 * Writes views of tables, which can be written as the tables are.
 *
 * @param c what chooses
 * @param tables the tables
 */
export function writeViews(
  c: Choices,
  tables: readonly AppTable[],
): { ddl: string[]; tables: AppTable[] } {
  if (!c.oneIn(3)) return { ddl: [], tables: [] };
  const table = c.pick(tables);
  const view = quoted("shown");
  const names = table.columns.map(({ name }) => quoted(name));
  const on = quoted(table.name);
  const set = table.columns.map(({ name }) => `${quoted(name)} = NEW.${quoted(name)}`);
  const make = (event: string, statement: string) =>
    `CREATE TRIGGER shown_${event} INSTEAD OF ${event} ON ${view} BEGIN ${statement}; END`;
  return {
    ddl: [
      `CREATE VIEW ${view} AS SELECT ${names.join(", ")} FROM ${on}`,
      make("INSERT", `INSERT INTO ${on} (${names}) VALUES (${names.map((name) => `NEW.${name}`)})`),
      make("UPDATE", `UPDATE ${on} SET ${set.join(", ")} WHERE ${isKey("OLD", table)}`),
      make("DELETE", `DELETE FROM ${on} WHERE ${isKey("OLD", table)}`),
    ],
    tables: [{ ...table, name: "shown", synced: false, hasRowid: false }],
  };
}
