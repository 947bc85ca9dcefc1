/**
 * A server and devices in network namespaces, and what is asked of them.
 *
 * @module
 */

import { createClient } from "@lakesync/client";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { DENO, Device } from "./client_support.ts";
import { type DeviceClient, SCHEMA } from "./client_workload.ts";
import type { Namespaces } from "./network_namespaces.ts";

const SECRET = "partition tests use this secret of many characters";
const PACE_MS = 60;

/** Everyone reads and writes everything: a server that others can reach is closed without rules. */
const RULES = {
  buckets: [{ name: "all", tables: Object.keys(SCHEMA.tables) }],
  write: [{ tables: Object.keys(SCHEMA.tables), ops: ["INSERT", "UPDATE", "DELETE"] }],
};

/** A server behind a line, and those who use it. */
export class Site implements AsyncDisposable {
  readonly #folder: string;
  readonly #namespaces: Namespaces;
  readonly #server: ServerProcess;
  readonly #used = new AsyncDisposableStack();
  /** Rules that are put take commits too. */
  #commitsOfRules = 0;

  private constructor(folder: string, namespaces: Namespaces) {
    this.#folder = folder;
    this.#namespaces = namespaces;
    this.#server = this.#used.use(
      new ServerProcess({
        data: `${folder}/gateway`,
        secret: SECRET,
        dev: false,
        wrapper: namespaces.serverWrapper,
        env: { LAKESYNC_HOST: "0.0.0.0" },
      }),
    );
  }

  /** Starts a server in a namespace. */
  static async open(namespaces: Namespaces): Promise<Site> {
    const site = new Site(await Deno.makeTempDir({ prefix: "lakesync-partition-" }), namespaces);
    try {
      await site.#server.start();
      await site.#put("schema", SCHEMA);
      await site.#put("sync-rules", RULES);
      site.#commitsOfRules = await site.#seq();
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  #url(address: string): string {
    return `http://${address}:${new URL(this.#server.url).port}`;
  }

  async #admin(path: string, init: RequestInit = {}): Promise<Response> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "default", role: "admin" });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const url = `${this.#url(this.#namespaces.serverAddressForTest)}/v1/admin/${path}/default`;
    const response = await fetch(url, { ...init, headers });
    if (!response.ok) throw new Error(await response.text());
    return response;
  }

  async #put(path: string, body: object): Promise<void> {
    await (await this.#admin(path, { method: "PUT", body: JSON.stringify(body) })).text();
  }

  /** How many transactions the gateway has committed. */
  async committed(): Promise<number> {
    return await this.#seq() - this.#commitsOfRules;
  }

  async #seq(): Promise<number> {
    return Number((await (await this.#admin("stats")).json()).seq);
  }

  #token(): Promise<string> {
    return signToken({ secret: SECRET, sub: "alice", gw: "default" });
  }

  /** Starts a device behind the line; its timers run some times faster. */
  async device(name: string, times: number): Promise<Device> {
    const device = new Device([...this.#namespaces.clientWrapper, ...DENO], {
      url: this.#url(this.#namespaces.serverAddress),
      token: await this.#token(),
      database: `${this.#folder}/${name}.db`,
      device: name,
      paceMs: PACE_MS,
      times,
    });
    this.#used.use(device).start();
    return device;
  }

  /** Opens a client that the line does not concern. */
  async near(): Promise<DeviceClient> {
    const client = await createClient({
      url: this.#url(this.#namespaces.serverAddressForTest),
      gateway: "default",
      database: ":memory:",
      schema: SCHEMA,
      getToken: () => this.#token(),
    });
    return this.#used.use(client);
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#used.disposeAsync();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
