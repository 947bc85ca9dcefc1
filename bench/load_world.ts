/**
 * The world of the load script: teams of ten, each a bucket that a claim names, their tokens, and
 * the configuration of a gateway that holds them.
 *
 * @module
 */

import type { Delta, HybridClock, RulesSpec, Shape } from "@lakesync/core";
import { signToken } from "@lakesync/server";

/** The gateway that is put under load. */
export const GATEWAY = "load";
/** Signs all tokens of the script. */
export const SECRET = "the load script signs its tokens with this";

/** Rows that clients put into the bucket of their team. */
const SCHEMA = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", team: "string", author: "string", text: "string", n: "integer" },
    },
  },
} as const;

const OF_TEAM = { column: "team", op: "eq", value: "jwt:team" } as const;

const RULES: RulesSpec = {
  buckets: [{ name: "team", tables: ["notes"], filters: [OF_TEAM] }],
  write: [{ tables: ["notes"], ops: ["INSERT", "UPDATE", "DELETE"], filters: [OF_TEAM] }],
};

const INSERT: Shape = {
  op: "INSERT",
  table: "notes",
  columns: ["team", "author", "text", "n"],
};

/** What `--config` says: the limits that the load needs, and the gateway. */
export function configOf(limits: Readonly<Record<string, number>>): string {
  return JSON.stringify({ ...limits, gateways: { [GATEWAY]: { schema: SCHEMA, rules: RULES } } });
}

/** A user with one client. */
export interface User {
  /** The user and the client. */
  readonly id: string;
  /** The bucket that the user reads and writes. */
  readonly team: string;
  /** The user's token, HS256. */
  readonly token: string;
}

/**
 * Makes users, as many in each team.
 *
 * @param prefix begins their names
 * @param count how many
 * @param teams in how many teams
 * @param teamPrefix begins the names of the teams
 */
export async function makeUsers(
  prefix: string,
  count: number,
  teams: number,
  teamPrefix = "team",
): Promise<User[]> {
  return await Promise.all(Array.from({ length: count }, async (_, i) => {
    const id = `${prefix}${i}`;
    const team = `${teamPrefix}${i % teams}`;
    const claims = { team };
    return { id, team, token: await signToken({ secret: SECRET, sub: id, gw: GATEWAY, claims }) };
  }));
}

/** Signs the token of an administrator. */
export function adminToken(): Promise<string> {
  return signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
}

/** A row that a user puts into the bucket of the team. */
export function noteOf(user: User, rowId: string, n: number, clock: HybridClock): Delta {
  return {
    shape: INSERT,
    rowId,
    hlc: clock.tick(),
    values: [user.team, user.id, "A line of text as notes have it", n],
    deltaId: undefined,
  };
}
