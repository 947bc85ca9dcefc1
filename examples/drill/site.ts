/**
 * What a drill works on: a gateway process with a lake as its destination, devices that write, and
 * the command `lakesync`.
 *
 * @module
 */

import { type Client, createClient } from "@lakesync/client";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";

/** The schema of the drill. */
export const ENTRIES = {
  version: 1,
  tables: {
    entries: {
      primaryKey: ["id"],
      columns: { id: "string", writer: "string", n: "integer", text: "string" },
    },
  },
} as const;

const SECRET = "the drill's own secret of many characters";
const MAIN = new URL("../../server/main.ts", import.meta.url).pathname;
const WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 10;

/** A row of the drill. */
export type Entry = readonly [id: unknown, writer: unknown, n: unknown, text: unknown];

/** Waits until something holds. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!await holds()) {
    if (performance.now() - start > WITHIN_MS) throw new Error(`Not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Runs the command to its end and gives what it printed. */
export async function lakesync(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (code !== 0) throw new Error(`lakesync ${args[0]}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** A device that writes rows of its own, changes some and deletes some. */
export class Device {
  #n = 0;

  constructor(readonly name: string, readonly client: Client<typeof ENTRIES>) {}

  /** Writes so many transactions, each of one row. */
  async write(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const n = this.#n++;
      await this.client.exec("INSERT INTO entries VALUES (?, ?, ?, ?)", [
        `${this.name}-${n}`,
        this.name,
        n,
        `entry ${n} of ${this.name}`,
      ]);
      const older = `${this.name}-${n >> 1}`;
      if (n % 5 === 4) await this.client.exec("UPDATE entries SET n = -n WHERE id = ?", [older]);
      if (n % 11 === 10) await this.client.exec("DELETE FROM entries WHERE id = ?", [older]);
    }
  }

  /** Waits until everything it wrote is in a checkpoint. */
  async synced(): Promise<void> {
    await until(`${this.name} is synced`, async () => {
      const { state } = this.client.status.value;
      return state === "live" && await this.client.pendingCount() === 0;
    });
  }

  /** Its rows. */
  async rows(): Promise<readonly Entry[]> {
    const rows = await this.client.query("SELECT id, writer, n, text FROM entries ORDER BY id");
    return rows.map((row): Entry => [row["id"], row["writer"], Number(row["n"]), row["text"]]);
  }
}

/** A gateway on a data folder, and the lake that it flushes to. */
export class Site {
  #server: ServerProcess;
  #devices: Device[] = [];

  private constructor(readonly folder: string, readonly data: string) {
    this.#server = this.#serverOn(data);
  }

  #serverOn(data: string, port = 0): ServerProcess {
    const args = ["--config", `${this.folder}/lakesync.json`, "--log-level", "error"];
    return new ServerProcess({ data, secret: SECRET, port, args });
  }

  /** Starts a gateway in a folder. */
  static async open(folder: string): Promise<Site> {
    const lake = { type: "lake", store: { type: "fs", folder: `${folder}/lake` } };
    const config = {
      gateways: { default: { schema: ENTRIES } },
      destinations: { lake: { ...lake, flush: { everyMs: 100 } } },
    };
    await Deno.writeTextFile(`${folder}/lakesync.json`, JSON.stringify(config));
    const site = new Site(folder, `${folder}/data`);
    await site.#server.start();
    return site;
  }

  /** Opens a device, or opens it again. */
  async device(name: string): Promise<Device> {
    const client = await createClient({
      url: this.#server.url,
      gateway: "default",
      database: `${this.folder}/${name}.db`,
      getToken: () => signToken({ secret: SECRET, sub: "drill", gw: "default" }),
      schema: ENTRIES,
    });
    const device = new Device(name, client);
    this.#devices.push(device);
    return device;
  }

  /** Closes all devices; their databases stay. */
  async closeDevices(): Promise<void> {
    const devices = this.#devices;
    this.#devices = [];
    await Promise.all(devices.map(({ client }) => client.close()));
  }

  /** Kills the gateway, as a failing machine would. */
  async kill(): Promise<void> {
    await this.#server.kill();
  }

  /** Starts a gateway at the same address, on another data folder. */
  async startOn(data: string): Promise<void> {
    this.#server = this.#serverOn(data, Number(new URL(this.#server.url).port));
    await this.#server.start();
  }

  /** Waits until the lake has everything that was committed. */
  async flushed(): Promise<void> {
    const token = await signToken({ secret: SECRET, sub: "drill", gw: "*", role: "admin" });
    const headers = { authorization: `Bearer ${token}` };
    const ask = async (method: string, path: string) => {
      const response = await fetch(`${this.#server.url}/v1/admin/${path}`, { method, headers });
      return await response.json();
    };
    await until("the lake has everything", async () => {
      await ask("POST", "flush/default");
      const { destinations: [lake] } = await ask("GET", "destinations/default");
      return lake.state === "idle" && lake.lagCommits === 0;
    });
  }

  /** The rows in the lake. */
  async lakeRows(): Promise<readonly Entry[]> {
    const printed = await lakesync(
      ...["query", "SELECT id, writer, n, text FROM entries ORDER BY id"],
      ...["--lake", `file://${this.folder}/lake`, "--tail", "none", "--format", "json"],
    );
    const rows: { id: unknown; writer: unknown; n: unknown; text: unknown }[] = JSON.parse(printed);
    return rows.map(({ id, writer, n, text }): Entry => [id, writer, Number(n), text]);
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await this.closeDevices();
    await this.#server.kill();
  }
}
