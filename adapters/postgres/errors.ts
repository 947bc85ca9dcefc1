/**
 * What the failures of Postgres mean: whether and when to try again, or that a row is at fault.
 *
 * @module
 */

import { DestinationError, type RetryKind } from "../adapter.ts";
import type { Refusal } from "../database/bisect.ts";

/** What each code, or class of codes, means; the longest that fits counts. */
const MEANINGS: Readonly<Record<string, readonly [retry: RetryKind, what: string]>> = {
  "08": ["later", "The connection to the database failed"],
  "0A": ["stop", "Something else depends on what is to be changed, change that first"],
  "2BP01": ["stop", "Something else depends on what is to be changed, change that first"],
  "25006": ["later", "The database is read-only, point the URL at the primary"],
  "25P03": ["later", "The transaction was idle for too long"],
  "28": ["stop", "The database does not let the user in, check user and password"],
  "3D000": ["stop", "There is no such database, create it or correct the URL"],
  "3F000": ["stop", "There is no such schema, create it or grant CREATE on the database"],
  "40": ["now", "Another transaction was in the way"],
  "42501": ["stop", "The user lacks a privilege, grant it"],
  "42703": ["later", "A column that LakeSync made is not there, the tables are made ready again"],
  "42P01": ["later", "A table that LakeSync made is not there, the tables are made ready again"],
  "42": ["stop", "The database does not take a statement, see what it says"],
  "53": ["later", "The database lacks connections, memory or disk"],
  "54": ["stop", "The schema is beyond what the database can hold"],
  "55": ["now", "A lock was not given in time"],
  "57014": ["later", "A statement took too long"],
  "57": ["later", "The database is starting, stopping or was stopped"],
  "58": ["later", "The database has a failure of its system"],
};

/** Classes and codes of failures that a row's values, or rules of the table, brought about. */
const ROW_FAULT = /^(2[0-3]|27|2F|38|39|428C9|44|54000|54001|P0)/;

/** The classes of Postgres's own codes. A code of any other was given by a trigger. */
const OWN_CLASS = /^(0[0-389ABFLPZ]|10|2[0-8BDF]|3[489BDF]|4[024]|5[34578]|72|F0|HV|P0|XX)/;

/** The foreign keys that LakeSync made begin so. */
export const REFERENCE_PREFIX = "lakesync_fk_";

interface PostgresFailure {
  readonly message: string;
  readonly code: string | undefined;
  readonly constraint: string | undefined;
}

function failureOf(error: unknown): PostgresFailure {
  if (!(error instanceof Error)) {
    return { message: String(error), code: undefined, constraint: undefined };
  }
  const { code, constraint_name: constraint } = error as Error & {
    readonly code?: unknown;
    readonly constraint_name?: unknown;
  };
  return {
    message: error.message,
    code: typeof code === "string" ? code : undefined,
    constraint: typeof constraint === "string" ? constraint : undefined,
  };
}

/**
 * Tells why a row was refused.
 *
 * @param error what a statement failed with
 * @returns undefined when no row is at fault. A foreign key of LakeSync's is not a row's fault:
 * somebody took the parent away a moment ago, and the next attempt will see that
 */
export function refusalOf(error: unknown): Refusal | undefined {
  const { code, message, constraint } = failureOf(error);
  if (code === undefined || !isState(error)) return undefined;
  if (OWN_CLASS.test(code) && !ROW_FAULT.test(code)) return undefined;
  if (code === "23503" && constraint?.startsWith(REFERENCE_PREFIX)) return undefined;
  return { reason: message, code };
}

/** Whether a failure says that a table is not there. */
export function isMissingTable(error: unknown): boolean {
  const { code } = failureOf(error);
  return code === "42P01" || code === "3F000";
}

/**
 * Sorts a failure.
 *
 * @param error what failed
 */
export function destinationError(error: unknown): DestinationError {
  if (error instanceof DestinationError) return error;
  const { code, message } = failureOf(error);
  if (code === undefined || !isState(error)) {
    const text = `The database cannot be reached: ${message}`;
    return new DestinationError("later", text, named(code, error));
  }
  if (code === "23503") {
    const text = "A referenced row was taken away meanwhile";
    return new DestinationError("now", text, named(code, error));
  }
  const [retry, what] = MEANINGS[code] ?? MEANINGS[code.slice(0, 2)] ??
    ["later" as const, "The database failed"];
  return new DestinationError(retry, `${what}: ${message}`, named(code, error));
}

/** Whether the code of a failure is the database's, and not the driver's or the system's. */
function isState(error: unknown): boolean {
  return error instanceof Error && "severity" in error;
}

function named(code: string | undefined, cause: unknown): { code?: string; cause: unknown } {
  return code === undefined ? { cause } : { code, cause };
}
