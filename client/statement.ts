/**
 * Reads just enough of an SQL text to know how to run it.
 *
 * @module
 */

/** What kind of statement a text begins with. */
export type StatementKind =
  | "read"
  | "write"
  | "begin"
  | "commit"
  | "rollback"
  | "other";

/** What is known of an SQL text. */
export interface StatementInfo {
  /** The kind of its first statement. */
  readonly kind: StatementKind;
  /** Whether a second statement follows. */
  readonly several: boolean;
  /** Whether it begins or ends a whole transaction; savepoints do not. */
  readonly ends: boolean;
}

const SKIP = /(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$))*/y;
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|;/g;

const KINDS: Readonly<Record<string, StatementKind>> = {
  SELECT: "read",
  VALUES: "read",
  EXPLAIN: "read",
  WITH: "write",
  INSERT: "write",
  REPLACE: "write",
  UPDATE: "write",
  DELETE: "write",
  BEGIN: "begin",
  SAVEPOINT: "begin",
  COMMIT: "commit",
  END: "commit",
  ROLLBACK: "rollback",
};

function skip(sql: string, from: number): number {
  SKIP.lastIndex = from;
  SKIP.exec(sql);
  return SKIP.lastIndex;
}

function hasSecond(sql: string, from: number): boolean {
  TOKEN.lastIndex = from;
  for (let match = TOKEN.exec(sql); match; match = TOKEN.exec(sql)) {
    if (match[0] === ";") {
      return skip(sql, TOKEN.lastIndex) < sql.length;
    }
  }
  return false;
}

/**
 * Looks at an SQL text.
 *
 * @param sql one or several statements
 * @returns what it begins with, and whether it goes on; the body of a CREATE TRIGGER counts as
 * going on
 */
export function inspectStatement(sql: string): StatementInfo {
  const start = skip(sql, 0);
  const word = /^[A-Za-z]+/.exec(sql.slice(start, start + 16))?.[0] ?? "";
  const kind = KINDS[word.toUpperCase()] ?? "other";
  const savepoint = /^(SAVEPOINT|ROLLBACK\s+(TRANSACTION\s+)?TO)\b/i.test(sql.slice(start));
  return {
    kind,
    several: hasSecond(sql, start),
    ends: !savepoint && ["begin", "commit", "rollback"].includes(kind),
  };
}
