/**
 * The same few statements on any product, for the tests of the servers themselves.
 *
 * @module
 */

import { createConnection } from "mysql2/promise";
import postgres from "postgres";

/** A connection. */
export interface Session extends AsyncDisposable {
  /** Runs one statement and gives its rows. */
  query(statement: string): Promise<Record<string, unknown>[]>;
}

/**
 * Opens a connection.
 *
 * @param url the database
 */
export async function openSession(url: string): Promise<Session> {
  if (url.startsWith("postgres:")) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    return {
      query: async (statement) => [...await sql.unsafe(statement)],
      [Symbol.asyncDispose]: () => sql.end(),
    };
  }
  const connection = await createConnection(url);
  return {
    async query(statement) {
      const [rows] = await connection.query(statement);
      return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : [];
    },
    [Symbol.asyncDispose]: () => connection.end(),
  };
}

/**
 * Runs one statement on a connection of its own.
 *
 * @param url the database
 * @param statement the statement
 * @returns its rows
 */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  await using session = await openSession(url);
  return await session.query(statement);
}
