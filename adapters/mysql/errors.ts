/**
 * What the failures of MySQL and MariaDB mean: whether and when to try again, or that a row is at
 * fault.
 *
 * @module
 */

import { DestinationError, type RetryKind } from "../adapter.ts";
import type { Refusal } from "../database/bisect.ts";

type Meaning = readonly [retry: RetryKind, what: string, numbers: readonly number[]];

const MEANINGS: readonly Meaning[] = [
  ["now", "Another transaction was in the way", [1205, 1213, 3572]],
  ["later", "The database has too many connections", [1040, 1203, 1226, 3032]],
  ["later", "The connection to the database failed", [1042, 1047, 1152, 1158, 1159, 1160, 1161]],
  ["later", "The connection to the database failed", [1184, 1927, 2002, 2003, 2006, 2013, 4031]],
  ["later", "The database is starting, stopping or was stopped", [1053, 1077, 1079, 3169]],
  ["later", "The database is read-only, point the URL at the primary", [1290, 1792, 1836, 3100]],
  ["later", "The database lacks memory or disk", [1021, 1030, 1037, 1038, 1041, 1114, 1206, 1297]],
  ["later", "A statement took too long", [1317, 1907, 1969, 3024]],
  ["later", "A table that LakeSync made is not as it was, it is made ready again", [
    1051,
    1054,
    1146,
  ]],
  ["stop", "The database does not let the user in, check user and password", [1045, 1251, 1698]],
  ["stop", "The user's password has expired or the account is locked", [1820, 1862, 3118, 4151]],
  ["stop", "There is no such database, or the user may not use it: create it or grant", [
    1044,
    1049,
  ]],
  ["stop", "The user lacks a privilege, grant it", [1142, 1143, 1227, 1370, 1410, 1419]],
  ["stop", "The database logs statements, set binlog_format to ROW", [1665]],
  ["stop", "A foreign key cannot be made, correct the types of its columns", [1005, 1215, 3780]],
  ["stop", "The database does not take a statement, see what it says", [1064, 1071, 1118, 1235]],
];

const BY_NUMBER = new Map(
  MEANINGS.flatMap(([retry, what, numbers]) => numbers.map((each) => [each, { retry, what }])),
);

/** Failures beside those of the classes 22 (data), 23 (constraint) and 45 (signal). */
const ROW_FAULT: ReadonlySet<number> = new Set([
  ...[1048, 1062, 1118, 1153, 1242, 1264, 1265, 1292, 1301, 1364, 1365, 1366, 1367, 1406, 1411],
  ...[1526, 1690, 1748, 3140, 3141, 3157, 3158, 3819, 4025, 4078],
]);

/** The foreign keys that LakeSync made begin so. */
export const REFERENCE_PREFIX = "lakesync_fk_";

const OWN_REFERENCE = /CONSTRAINT [`"]lakesync_fk_/;

interface MysqlFailure {
  readonly message: string;
  /** The server's number; 0 when it is no failure of a statement. */
  readonly number: number;
  readonly state: string;
  /** The driver's name for it. */
  readonly name: string | undefined;
}

function failureOf(error: unknown): MysqlFailure {
  if (!(error instanceof Error)) {
    return { message: String(error), number: 0, state: "", name: undefined };
  }
  const { errno, sqlState, code } = error as Error & {
    readonly errno?: unknown;
    readonly sqlState?: unknown;
    readonly code?: unknown;
  };
  return {
    message: error.message,
    number: typeof errno === "number" && errno >= 1_000 ? errno : 0,
    state: typeof sqlState === "string" ? sqlState : "",
    name: typeof code === "string" ? code : undefined,
  };
}

/** Whether a foreign key that LakeSync made was in the way. */
export function isOwnReference(error: unknown): boolean {
  const { number, message } = failureOf(error);
  return (number === 1451 || number === 1452) && OWN_REFERENCE.test(message);
}

/**
 * Tells why a row was refused.
 *
 * @param error what a statement failed with
 * @returns undefined when no row is at fault. A foreign key of LakeSync's is not a row's fault:
 * somebody took the parent away a moment ago, and the next attempt will see that
 */
export function refusalOf(error: unknown): Refusal | undefined {
  const { number, state, message } = failureOf(error);
  if (number === 0 || isOwnReference(error)) return undefined;
  if (!ROW_FAULT.has(number) && !/^(22|23|45)/.test(state)) return undefined;
  // The upsert sets the key to NULL where a unique index meets it with a row of another key.
  const reason = number === 1048
    ? `${message}; of a key it means that another row has the same value in a unique index`
    : message;
  return { reason, code: String(number) };
}

/** Whether a failure says that a table is not there. */
export function isMissingTable(error: unknown): boolean {
  return error instanceof DestinationError
    ? error.code === "1146"
    : failureOf(error).number === 1146;
}

/**
 * Sorts a failure.
 *
 * @param error what failed
 */
export function destinationError(error: unknown): DestinationError {
  if (error instanceof DestinationError) return error;
  const { number, message, name } = failureOf(error);
  const code = number > 0 ? String(number) : name;
  const options = code === undefined ? { cause: error } : { code, cause: error };
  if (number === 0) {
    return new DestinationError("later", `The database cannot be reached: ${message}`, options);
  }
  if (isOwnReference(error)) {
    return new DestinationError("now", "A referenced row was taken away meanwhile", options);
  }
  const { retry, what } = BY_NUMBER.get(number) ?? { retry: "later", what: "The database failed" };
  return new DestinationError(retry, `${what}: ${message}`, options);
}
