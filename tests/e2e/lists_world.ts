/**
 * A world of lists that users are members of: its schema, its rules, and an administrator who sees
 * and writes everything.
 *
 * @module
 */

import type { Client } from "@lakesync/client";
import {
  createClock,
  decodePushResult,
  defineRules,
  encodePush,
  type HybridClock,
  PROTOBUF_TYPE,
  type PushRequest,
  type RulesSpec,
  type Shape,
} from "@lakesync/core";
import { synced } from "./wait.ts";
import { rowsOf, type Settings, World } from "./world.ts";

/** Lists, who may see them, what is on them, and what devices tell without reading it back. */
export const LISTS = {
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    members: {
      primaryKey: ["id"],
      columns: { id: "string", list: "string", user: "string" },
    },
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", list: "string", title: "string", owner: "string", note: "string" },
    },
    docs: {
      primaryKey: ["id"],
      columns: { id: "string", org: "string", title: "string" },
    },
    events: { primaryKey: ["id"], columns: { id: "string", what: "string" } },
  },
} as const;

/** A client of {@linkcode LISTS}. */
export type ListsClient = Client<typeof LISTS>;

/** The most of one transaction in one piece. */
const MAX_DELTAS = 10_000;

const OF_CALLER = { column: "user", op: "eq", value: "jwt:sub" } as const;
const EVERYTHING = ["lists", "members", "todos", "docs"] as const;

/**
 * Members see their lists, and of its todos all but the note, which the owner sees. Documents are
 * for organizations that a claim names. Everybody may join a list.
 */
export const LISTS_RULES: RulesSpec = defineRules(LISTS, {
  buckets: [
    {
      name: "by_list",
      parameters: { list: { from: "members", column: "list", filters: [OF_CALLER] } },
      tables: [
        { table: "lists", key: "id" },
        { table: "todos", key: "list", columns: ["id", "list", "title", "owner"] },
      ],
    },
    { name: "memberships", tables: ["members"], filters: [OF_CALLER] },
    {
      name: "mine",
      tables: ["todos"],
      filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
    },
    {
      name: "by_org",
      tables: ["docs"],
      filters: [{ column: "org", op: "in", value: "jwt:orgs" }],
    },
    {
      name: "office",
      tables: [...EVERYTHING],
      filters: [{ claim: "role", op: "eq", value: "admin" }],
    },
  ],
  write: [
    { tables: ["lists"], ops: ["INSERT"] },
    {
      tables: ["members"],
      ops: ["INSERT", "DELETE"],
      filters: [{ any: [OF_CALLER, { column: "list", op: "in", value: "param:list" }] }],
    },
    {
      tables: ["todos"],
      ops: ["INSERT", "UPDATE", "DELETE"],
      filters: [{
        any: [
          { column: "list", op: "in", value: "param:list" },
          { column: "owner", op: "eq", value: "jwt:sub" },
        ],
      }],
    },
    {
      tables: ["docs"],
      ops: ["UPDATE"],
      filters: [{ column: "org", op: "in", value: "jwt:orgs" }],
    },
    { tables: ["events"], ops: ["INSERT"] },
  ],
  tables: { events: { mode: "upload-only" } },
  exempt: ["admin"],
});

/** A gateway with {@linkcode LISTS_RULES}, and its administrator. */
export class ListsWorld implements AsyncDisposable {
  readonly #clock: HybridClock = createClock(() => Date.now());

  private constructor(readonly world: World, readonly office: ListsClient) {}

  /** Starts it; nothing is in it. */
  static async open(): Promise<ListsWorld> {
    const world = await World.open(LISTS);
    await world.putRules(LISTS_RULES);
    const office = await world.client("office", { schema: LISTS, sub: "office", role: "admin" });
    return new ListsWorld(world, office);
  }

  /** Opens a client of a user with a database of that name. */
  user(name: string, settings: Settings<typeof LISTS> = {}): Promise<ListsClient> {
    return this.world.client(name, { schema: LISTS, sub: name, ...settings });
  }

  /** The administrator writes in one transaction, until the gateway has taken it. */
  async write(...statements: string[]): Promise<void> {
    await this.office.transaction(async (tx) => {
      for (const sql of statements) await tx.exec(sql);
    });
    await synced(this.office);
  }

  /** The administrator fills the documents of an organization, quickly. */
  async fillDocs(org: string, count: number): Promise<void> {
    const shape: Shape = { op: "INSERT", table: "docs", columns: ["org", "title"] };
    const deltas = Array.from({ length: count }, (_, i) => ({
      shape,
      rowId: `${org}-${String(i).padStart(6, "0")}`,
      hlc: this.#clock.tick(),
      values: [org, `Document ${i}`],
      deltaId: undefined,
    }));
    for (let from = 0, mutationId = 1; from < count; from += MAX_DELTAS, mutationId++) {
      await this.#push({
        clientId: `filler-${org}`,
        schemaVersion: LISTS.version,
        transactions: [{ mutationId, deltas: deltas.slice(from, from + MAX_DELTAS) }],
      });
    }
  }

  async #push(request: PushRequest): Promise<void> {
    const token = await this.world.token("filler", "default", {}, "admin");
    const response = await fetch(`${this.world.server.url}/v1/sync/default/push`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": PROTOBUF_TYPE,
        accept: PROTOBUF_TYPE,
      },
      body: new Uint8Array(encodePush(request)),
    });
    const { rejected } = decodePushResult(new Uint8Array(await response.arrayBuffer()));
    if (rejected.length > 0) throw new Error(rejected[0]?.message);
  }

  /** Closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

/** The keys of a table's rows that a client holds. */
export async function idsOf(client: ListsClient, table: string): Promise<string> {
  return (await rowsOf(client, table)).map(([id]) => id).join();
}
