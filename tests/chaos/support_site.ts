/**
 * A gateway process with the store and the data folder a test asks for, and clients with databases
 * of their own.
 *
 * @module
 */

import {
  type Client,
  type ClientEnvironment,
  type ClientOptions,
  createClient,
} from "@lakesync/client";
import { signToken } from "@lakesync/server";
import { ServerProcess, type ServerProcessOptions } from "@lakesync/server/testing";
import type { Stats } from "../e2e/world.ts";

/** The secret of all tests of this folder. */
export const SECRET = "tests with real failures use this secret of many characters";

/**
 * What writers write, all of it in each transaction: a mark, notes that belong to it, and a share
 * of rows that everybody writes.
 */
export const SCHEMA = {
  version: 1,
  tables: {
    marks: {
      primaryKey: ["id"],
      columns: { id: "string", writer: "string", n: "integer" },
    },
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", writer: "string", n: "integer", text: "string" },
    },
    tallies: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        n: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
      },
    },
  },
} as const;

/** A client of {@linkcode SCHEMA}. */
export type SiteClient = Client<typeof SCHEMA>;

/** How a site is opened. */
export type SiteOptions = Partial<ServerProcessOptions>;

/**
 * Ports that outgoing connections get: a client that connects to one of them while nobody listens
 * there may connect to itself, and then nobody can listen there any more.
 */
const FIRST_OUTGOING_PORT = 32_768;
const FIRST_PORT = 20_000;

/** Finds a port that is free and that no outgoing connection takes. */
export function freePort(): number {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (FIRST_OUTGOING_PORT - FIRST_PORT));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("No port is free");
}

/** One gateway process, a folder, and clients that are closed with it. */
export class Site implements AsyncDisposable {
  /** The gateway process. */
  readonly server: ServerProcess;
  readonly #clients = new Set<SiteClient>();
  readonly #before: (() => Promise<void>)[] = [];

  private constructor(readonly folder: string, options: SiteOptions) {
    this.server = new ServerProcess({
      data: `${folder}/gateway`,
      secret: SECRET,
      port: freePort(),
      ...options,
    });
  }

  /**
   * Starts a gateway process with {@linkcode SCHEMA}.
   *
   * @param options how the process is started
   */
  static async open(options: SiteOptions = {}): Promise<Site> {
    const site = new Site(await Deno.makeTempDir({ prefix: "lakesync-chaos-" }), options);
    try {
      await site.server.start();
      const answer = await site.admin("PUT", "schema/default", SCHEMA);
      if (!answer.ok) throw new Error(await answer.text());
      await answer.body?.cancel();
      return site;
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Asks the gateway as its administrator. */
  async admin(method: string, path: string, body?: object): Promise<Response> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    return await fetch(`${this.server.url}/v1/admin/${path}`, { method, headers, ...init });
  }

  /** Asks the gateway for its statistics. */
  async stats(): Promise<Stats> {
    return await (await this.admin("GET", "stats/default")).json();
  }

  /**
   * Opens a client with a database of that name. It is closed with the site.
   *
   * @param name the database, and the user
   * @param environment what it gets in place of the runtime's clock, timers and network
   * @param options further options
   */
  async client(
    name: string,
    environment: Partial<ClientEnvironment> = {},
    options: Partial<ClientOptions<typeof SCHEMA>> = {},
  ): Promise<SiteClient> {
    const client = await createClient({
      url: this.server.url,
      gateway: "default",
      database: `${this.folder}/${name}.db`,
      schema: SCHEMA,
      getToken: () => signToken({ secret: SECRET, sub: name, gw: "default" }),
      environment,
      ...options,
    });
    this.#clients.add(client);
    return client;
  }

  /** Has something done before everything is closed. */
  before(close: () => Promise<void>): void {
    this.#before.push(close);
  }

  /** Closes all clients, ends the process, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#before) await close();
    await Promise.all([...this.#clients].map((client) => client.close()));
    await this.server.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
