/**
 * The app's own triggers. One that writes a synced table has done its part where the change was
 * made, and what it wrote was captured there; it must not run again when the change arrives here.
 * Such triggers are given a condition that is false while changes of others are applied; so are those
 * that may pass over a row without an error or roll everything back, since then a change would not be
 * applied and nobody would know. Triggers that keep local tables up to date, a search index for
 * instance, run then too.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";
import type { Layout } from "./layout.ts";
import { quoteName } from "./sql.ts";

const GUARD = "(SELECT applying FROM _lakesync_clock) = 0";

const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\p{L}_][\p{L}\p{N}_$]*|\S/gu;

interface Token {
  /** A keyword or name in lower case without quotes; other text as it is. */
  readonly text: string;
  readonly quoted: boolean;
  readonly at: number;
}

function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  for (const match of sql.matchAll(TOKEN)) {
    const [text] = match;
    if (/^(--|\/\*)/.test(text)) continue;
    const quoted = /^["'`[]/.test(text);
    const inner = quoted ? text.slice(1, -1) : text;
    tokens.push({ text: inner.toLowerCase(), quoted, at: match.index });
  }
  return tokens;
}

function isKeyword(token: Token | undefined, ...words: readonly string[]): boolean {
  return token !== undefined && !token.quoted && words.includes(token.text);
}

/**
 * Finds the tables that a trigger's statements write.
 *
 * @param sql the trigger's definition
 * @returns the names in lower case
 */
export function writtenTables(sql: string): Set<string> {
  const tokens = tokensOf(sql);
  const tables = new Set<string>();
  for (const [i, token] of tokens.entries()) {
    const next = tokens[i + 1];
    if (isKeyword(token, "into")) tables.add(next?.text ?? "");
    if (isKeyword(token, "delete") && isKeyword(next, "from")) {
      tables.add(tokens[i + 2]?.text ?? "");
    }
    if (isKeyword(token, "update") && !isKeyword(next, "of", "on", "set")) {
      const name = isKeyword(next, "or") ? tokens[i + 3] : next;
      tables.add(name?.text ?? "");
    }
  }
  return tables;
}

/**
 * Tells whether a trigger may end a statement without an error, or the whole transaction.
 *
 * @param sql the trigger's definition
 * @returns whether it raises IGNORE or ROLLBACK
 */
export function raisesBeyondItself(sql: string): boolean {
  const tokens = tokensOf(sql);
  return tokens.some((token, i) =>
    isKeyword(token, "raise") && tokens[i + 1]?.text === "(" &&
    isKeyword(tokens[i + 2], "ignore", "rollback")
  );
}

/**
 * Gives a trigger the condition that it does not run while changes of others are applied.
 *
 * @param sql the trigger's definition
 * @returns the new definition
 */
export function guardTrigger(sql: string): string {
  const tokens = tokensOf(sql);
  const begin = tokens.find((token) => isKeyword(token, "begin"));
  if (begin === undefined) return sql;
  const when = tokens.find((token) => isKeyword(token, "when") && token.at < begin.at);
  const head = sql.slice(0, when?.at ?? begin.at);
  const body = sql.slice(begin.at);
  const before = when === undefined
    ? ""
    : ` AND (${sql.slice(when.at + "when".length, begin.at).trim()}\n)`;
  return `${head}WHEN ${GUARD}${before} ${body}`;
}

/**
 * Guards the app's triggers that must not run while changes of others are applied. Runs inside a transaction.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @returns whether there were any that had no guard
 */
export async function guardAppTriggers(db: SqliteConnection, layout: Layout): Promise<boolean> {
  const rows = await db.values(
    `SELECT t.name, lower(t.tbl_name), t.sql, o.type FROM sqlite_schema t
     JOIN sqlite_schema o ON lower(o.name) = lower(t.tbl_name) AND o.type IN ('table', 'view')
     WHERE t.type = 'trigger' AND t.name NOT LIKE '\\_lakesync\\_%' ESCAPE '\\' ORDER BY t.rowid`,
  );
  const triggers = rows.map(([name, on, sql, type]) => ({
    name: String(name),
    on: String(on),
    sql: String(sql),
    onView: type === "view",
    writes: writtenTables(String(sql)),
  }));
  const synced = new Set([...layout.byName.keys()].map((name) => name.toLowerCase()));
  // Writing a view whose triggers write a synced table is writing a synced table.
  for (let grown = -1; grown !== synced.size;) {
    grown = synced.size;
    for (const { onView, on, writes } of triggers) {
      if (onView && !writes.isDisjointFrom(synced)) synced.add(on);
    }
  }
  let changed = false;
  for (const { name, sql, onView, writes } of triggers) {
    if (onView || sql.includes(GUARD)) continue;
    if (writes.isDisjointFrom(synced) && !raisesBeyondItself(sql)) continue;
    await db.script(`DROP TRIGGER ${quoteName(name)}`);
    await db.script(guardTrigger(sql));
    changed = true;
  }
  return changed;
}
