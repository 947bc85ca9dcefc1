/**
 * The same few statements on any product, for the tests of the servers themselves.
 *
 * @module
 */

import type { TypeCastField } from "mysql2";
import { createConnection } from "mysql2/promise";
import postgres from "postgres";

/** A connection. */
export interface Session extends AsyncDisposable {
  /** Runs one statement and gives its rows. */
  query(statement: string): Promise<Record<string, unknown>[]>;
}

/**
 * Reads doubles as the server wrote them. What mysql2 makes of their digits by itself is off by one
 * in the last place for one of fifty.
 *
 * @param field the value
 * @param next how the driver reads it
 */
export function exactDoubles(field: TypeCastField, next: () => unknown): unknown {
  if (field.type !== "DOUBLE") return next();
  const digits = field.string();
  return digits === null ? null : Number(digits);
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
  const connection = await createConnection({ uri: url, typeCast: exactDoubles });
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
