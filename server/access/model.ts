/**
 * Who and what is kept out of a gateway: lists of users, of devices (clients) and of tables. A list
 * of denials keeps out who is on it; a list of allowances, where there is one, who is not.
 *
 * @module
 */

import { isClientId, LakeSyncError } from "@lakesync/core";
import { isSubject } from "../auth/token.ts";

/** What a list is of. */
export type AccessKind = "users" | "clients" | "tables";

/** What lists are of. */
export const ACCESS_KINDS: readonly AccessKind[] = ["users", "clients", "tables"];

/** The lists of one kind. */
export interface AccessList {
  /** Only these; all unless given. */
  readonly allow?: readonly string[];
  /** Not these. */
  readonly deny?: readonly string[];
}

/** The lists of a gateway, as a configuration gives them. */
export type AccessConfig = Readonly<Partial<Record<AccessKind, AccessList>>>;

/** Names by kind. */
export type AccessNames = Readonly<Record<AccessKind, readonly string[]>>;

/** What is to be changed. */
export interface AccessChange {
  /** Who and what is kept out from now on. */
  readonly deny: AccessNames;
  /** Who and what is no longer. */
  readonly undeny: AccessNames;
}

/** Which tables clients reach: those on the first list, if there is one, and not on the second. */
export interface TableAccess {
  /** Only these; all unless given. */
  readonly allow?: readonly string[];
  /** Not these. */
  readonly deny: readonly string[];
}

/** Names that one change may have. */
export const MAX_CHANGED_NAMES = 1_000;

const CHECKS: Readonly<Record<AccessKind, (name: unknown) => name is string>> = {
  users: isSubject,
  clients: (name): name is string => typeof name === "string" && isClientId(name),
  tables: (name): name is string => typeof name === "string" && /^.{1,128}$/su.test(name),
};

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(place: string, what: string): LakeSyncError {
  return new LakeSyncError("VALIDATION_ERROR", `${place} ${what}`);
}

function checkKeys(place: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const name = JSON.stringify(unknown.slice(0, 64));
  throw invalid(place, `has the unknown field ${name}, there are ${known.join(", ")}`);
}

function namesOf(place: string, kind: AccessKind, value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(place, "must be an array of names");
  const at = value.findIndex((name) => !CHECKS[kind](name));
  if (at >= 0) throw invalid(`${place}[${at}]`, `is not a name of ${kind}`);
  return [...new Set<string>(value)];
}

function namesByKind(place: string, value: unknown): AccessNames {
  if (value === undefined) return { users: [], clients: [], tables: [] };
  if (!isRecord(value)) throw invalid(place, "must be an object");
  checkKeys(place, value, ACCESS_KINDS);
  return {
    users: namesOf(`${place}.users`, "users", value["users"]),
    clients: namesOf(`${place}.clients`, "clients", value["clients"]),
    tables: namesOf(`${place}.tables`, "tables", value["tables"]),
  };
}

/** How many names there are. */
export function countOf(names: AccessNames): number {
  return ACCESS_KINDS.reduce((sum, kind) => sum + names[kind].length, 0);
}

/**
 * Reads a change from the body of a request.
 *
 * @param body `{ "deny": { "clients": ["phone-1"] } }`, or `undeny`
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function readChange(body: unknown): AccessChange {
  if (!isRecord(body)) throw invalid("The body", "must be an object");
  checkKeys("The body", body, ["deny", "undeny"]);
  const change = {
    deny: namesByKind("deny", body["deny"]),
    undeny: namesByKind("undeny", body["undeny"]),
  };
  const both = ACCESS_KINDS.find((kind) =>
    change.deny[kind].some((name) => change.undeny[kind].includes(name))
  );
  if (both !== undefined) throw invalid(`deny.${both}`, "has a name that undeny has too");
  const names = countOf(change.deny) + countOf(change.undeny);
  if (names === 0) throw invalid("The body", "names nobody, give deny or undeny");
  if (names > MAX_CHANGED_NAMES) {
    throw invalid("The body", `has more than ${MAX_CHANGED_NAMES} names, send them in parts`);
  }
  return change;
}

/**
 * Reads the lists of a configuration.
 *
 * @param value `gateways.<id>.access`
 * @param place where it stands
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function readAccessConfig(value: unknown, place: string): AccessConfig {
  if (!isRecord(value)) throw invalid(place, "must be an object");
  checkKeys(place, value, ACCESS_KINDS);
  const lists: Partial<Record<AccessKind, AccessList>> = {};
  for (const kind of ACCESS_KINDS) {
    const list = value[kind];
    if (list === undefined) continue;
    const here = `${place}.${kind}`;
    if (!isRecord(list)) throw invalid(here, "must be an object");
    checkKeys(here, list, ["allow", "deny"]);
    const deny = namesOf(`${here}.deny`, kind, list["deny"]);
    lists[kind] = list["allow"] === undefined
      ? { deny }
      : { deny, allow: namesOf(`${here}.allow`, kind, list["allow"]) };
  }
  return lists;
}
