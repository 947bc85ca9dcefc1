/**
 * A world to test in: one gateway process, a folder, and clients with databases of their own.
 *
 * @module
 */

import {
  type Client,
  type ClientEnvironment,
  type ClientOptions,
  createClient,
  type SchemaSpec,
} from "@lakesync/client";
import type { RulesSpec } from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { SignJWT } from "jose";
import { until } from "./wait.ts";

/** The secret of all tests. */
export const SECRET = "end-to-end tests use this secret of many characters";

/** The schema most tests use. */
export const NOTES = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", status: "string" },
    },
    marks: { primaryKey: ["id"], columns: { id: "integer", text: "string" } },
  },
} as const;

/** A client of {@linkcode NOTES}. */
export type NotesClient = Client<typeof NOTES>;

/** What a client of a world may set. */
export type Settings<S extends SchemaSpec> = Partial<ClientOptions<S>> & {
  /** The user, `alice` unless given. */
  readonly sub?: string;
  /** Further claims of the token, looked at each time one is signed. */
  readonly claims?: Claims;
  /** The role in the token, `client` unless given. */
  readonly role?: "client" | "admin";
};

/** Claims that a test changes while a client is away or live. */
export type Claims = Record<string, unknown>;

/** Whether rules hold, or rows are still being placed by newer ones. */
export interface RulesState {
  /** The status of the answer. */
  readonly status: number;
  /** `active` or `building`; null where there is no rule set yet. */
  readonly state: string | null;
  /** The rules that hold. */
  readonly rules: RulesSpec;
}

/** What the gateway says of itself. */
export interface Stats {
  readonly epoch: string;
  readonly seq: string;
  readonly clients: number;
  readonly tables: Readonly<Record<string, { readonly rows: number }>>;
  readonly log: { readonly entries: number };
}

/** One gateway process and its clients. */
export class World implements AsyncDisposable {
  /** The gateway process. */
  readonly server: ServerProcess;
  readonly #clients: { close(): Promise<void> }[] = [];

  private constructor(readonly folder: string) {
    this.server = new ServerProcess({ data: `${folder}/gateway`, secret: SECRET });
  }

  /**
   * Starts a gateway process.
   *
   * @param schema put to the gateway `default`; none when null
   */
  static async open(schema: SchemaSpec | null = NOTES): Promise<World> {
    const world = new World(await Deno.makeTempDir({ prefix: "lakesync-e2e-" }));
    await world.server.start();
    if (schema !== null) await world.putSchema(schema);
    return world;
  }

  /** Puts a schema. */
  async putSchema(schema: SchemaSpec, gateway = "default"): Promise<void> {
    const response = await this.#admin("PUT", `schema/${gateway}`, schema);
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  }

  /** Puts rules; gives 200 when they hold, 202 while rows are placed by them. */
  async putRules(rules: RulesSpec, gateway = "default"): Promise<number> {
    const response = await this.#admin("PUT", `sync-rules/${gateway}`, rules);
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return response.status;
  }

  /** Asks which rules hold. */
  async rules(gateway = "default"): Promise<RulesState> {
    const response = await this.#admin("GET", `sync-rules/${gateway}`);
    const { status, headers } = response;
    return { status, state: headers.get("X-LakeSync-Rules"), rules: await response.json() };
  }

  /** Asks the gateway for its statistics. */
  async stats(gateway = "default"): Promise<Stats> {
    return await (await this.#admin("GET", `stats/${gateway}`)).json();
  }

  async #admin(method: string, path: string, body?: object): Promise<Response> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    return await fetch(`${this.server.url}/v1/admin/${path}`, { method, headers, ...init });
  }

  /** Signs a token for a user. */
  token(
    sub: string,
    gw = "default",
    claims: Claims = {},
    role: "client" | "admin" = "client",
  ): Promise<string> {
    return signToken({ secret: SECRET, sub, gw, claims, role });
  }

  /** The path of a client's database. */
  file(name: string): string {
    return `${this.folder}/${name}.db`;
  }

  /** Opens a client of {@linkcode NOTES} with a database of that name. */
  notes(name: string, settings: Settings<typeof NOTES> = {}): Promise<NotesClient> {
    return this.client(name, { schema: NOTES, ...settings });
  }

  /** Opens a client with a database of that name. It is closed with the world. */
  async client<const S extends SchemaSpec>(
    name: string,
    { sub = "alice", claims = {}, role = "client", ...settings }: Settings<S> & {
      readonly schema: S;
    },
  ): Promise<Client<S>> {
    const { gateway = "default" } = settings;
    const client = await createClient<S>({
      url: this.server.url,
      gateway,
      database: this.file(name),
      getToken: () => this.token(sub, gateway, claims, role),
      ...settings,
    });
    this.#clients.push(client);
    return client;
  }

  /** Copies a client's database file, as a backup tool of the device would. */
  async copyDatabase(from: string, to: string): Promise<void> {
    for (const suffix of ["", "-wal"]) {
      try {
        await Deno.copyFile(`${this.file(from)}${suffix}`, `${this.file(to)}${suffix}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  /** Closes all clients and ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.server.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/**
 * Timers of a client that pass some times faster than the clock.
 *
 * @param times how many
 */
export function fastTimers(times: number): ClientEnvironment["setTimer"] {
  return (ms, callback) => {
    const timer = setTimeout(callback, ms / times);
    return () => clearTimeout(timer);
  };
}

/** The gateway takes a token for so long after it ended, in milliseconds. */
const CLOCK_SKEW_MS = 30_000;

/**
 * Signs a token for the gateway `default` that the gateway takes for so long and not longer.
 *
 * @param sub the user
 * @param forMs how long, in milliseconds from now; negative for one that has ended
 * @param claims further claims
 */
export function expiringToken(sub: string, forMs: number, claims: Claims = {}): Promise<string> {
  return new SignJWT({ ...claims, gw: "default" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(sub)
    .setExpirationTime((Date.now() + forMs - CLOCK_SKEW_MS) / 1000)
    .sign(new TextEncoder().encode(SECRET));
}

/** Reads a table of a client, ordered by its key. */
export async function rowsOf<S extends SchemaSpec>(
  client: Client<S>,
  table: string,
): Promise<unknown[][]> {
  const rows = await client.query(`SELECT * FROM ${table} ORDER BY 1`);
  return rows.map((row) => Object.values(row));
}

/** Waits until clients hold the same rows of a table, and gives them. */
export async function converged<S extends SchemaSpec>(
  table: string,
  clients: readonly Client<S>[],
): Promise<unknown[][]> {
  let rows: unknown[][] = [];
  await until(`the same rows in ${table} of ${clients.length} clients`, async () => {
    const all = await Promise.all(clients.map((client) => rowsOf(client, table)));
    rows = all[0] ?? [];
    return new Set(all.map((one) => JSON.stringify(one))).size === 1;
  });
  return rows;
}
