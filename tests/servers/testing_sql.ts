/**
 * The same few statements on any product, for the tests of the servers themselves.
 *
 * @module
 */

import { createConnection } from "mysql2/promise";
import postgres from "postgres";

/**
 * Runs one statement on a connection of its own.
 *
 * @param url the database
 * @param statement the statement
 * @returns its rows
 */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  if (url.startsWith("postgres:")) {
    const sql = postgres(url, { max: 1 });
    try {
      return [...await sql.unsafe(statement)];
    } finally {
      await sql.end();
    }
  }
  const connection = await createConnection(url);
  try {
    const [rows] = await connection.query(statement);
    return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : [];
  } finally {
    await connection.end();
  }
}
