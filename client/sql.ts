/**
 * Small helpers for writing SQL.
 *
 * @module
 */

/** Quotes a name. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * Joins expressions by an operator as a balanced tree, since SQLite bounds how deep an expression
 * may be and a table may have a thousand columns.
 *
 * @param parts the expressions
 * @param operator such as `OR`
 * @param none what no expressions come to
 * @returns one expression
 */
export function joinBalanced(
  parts: readonly string[],
  operator: string,
  none: string,
): string {
  if (parts.length === 0) return none;
  if (parts.length === 1) return parts[0] ?? none;
  const middle = parts.length >> 1;
  const left = joinBalanced(parts.slice(0, middle), operator, none);
  const right = joinBalanced(parts.slice(middle), operator, none);
  return `(${left} ${operator} ${right})`;
}
