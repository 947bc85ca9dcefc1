/**
 * A gateway with a destination, whose data folder is backed up and restored by the command.
 *
 * @module
 */

import { type Client, createClient } from "@lakesync/client";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { until } from "./wait.ts";
import { NOTES, type NotesClient, SECRET } from "./world.ts";

const MAIN = new URL("../../server/main.ts", import.meta.url).pathname;

/** What a command came to. */
export interface Done {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts the command `lakesync`.
 *
 * @param args its arguments
 */
export function start(...args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--unstable-kv", MAIN, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/**
 * Runs the command `lakesync` to its end.
 *
 * @param args its arguments
 */
export async function lakesync(...args: readonly string[]): Promise<Done> {
  const { code, stdout, stderr } = await start(...args).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/**
 * Runs a command that must succeed.
 *
 * @returns what it printed
 * @throws {Error} with what it complained of
 */
export async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lakesync(...args);
  if (code !== 0) throw new Error(`lakesync ${args[0]} ended with ${code}: ${stderr}`);
  return stdout;
}

/** A gateway with a destination, and its clients. */
export class BackupSite implements AsyncDisposable {
  readonly server: ServerProcess;
  readonly #clients: Client<typeof NOTES>[] = [];

  private constructor(readonly folder: string) {
    this.server = new ServerProcess({
      data: this.data,
      secret: SECRET,
      args: ["--config", `${folder}/lakesync.json`, "--log-level", "error"],
    });
  }

  /**
   * Starts a gateway with a destination `there`.
   *
   * @param destination tells the destination, by the folder of the site
   */
  static async open(destination: (folder: string) => object): Promise<BackupSite> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-backup-" });
    const site = new BackupSite(folder);
    const config = {
      gateways: { default: { schema: NOTES } },
      destinations: { there: { ...destination(folder), flush: { everyMs: 20 } } },
    };
    await Deno.writeTextFile(`${folder}/lakesync.json`, JSON.stringify(config));
    await site.server.start();
    return site;
  }

  /** The data folder. */
  get data(): string {
    return `${this.folder}/gateway`;
  }

  /** Opens a client, which is closed with the site. */
  async client(name: string): Promise<NotesClient> {
    const client = await createClient({
      url: this.server.url,
      gateway: "default",
      database: `${this.folder}/${name}.db`,
      getToken: () => signToken({ secret: SECRET, sub: "alice", gw: "default" }),
      schema: NOTES,
    });
    this.#clients.push(client);
    return client;
  }

  /** Asks the gateway as its admin. */
  async admin<T>(method: string, path: string, body?: object): Promise<T> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
    const response = await fetch(`${this.server.url}/v1/admin/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text);
  }

  /** Waits until everything that was committed has arrived. */
  async flushed(): Promise<number> {
    return await until("everything has arrived", async () => {
      await this.admin("POST", "flush/default");
      const { destinations: [there] } = await this.admin<{
        destinations: { lagCommits: number; state: string }[];
      }>("GET", "destinations/default");
      return there?.lagCommits === 0 && there.state === "idle";
    }, 30_000);
  }

  /** The arguments by which commands find the server. */
  get address(): readonly string[] {
    return ["--url", this.server.url, "--secret", SECRET];
  }

  /**
   * Kills the gateway, restores a backup in place of its data, and starts it.
   *
   * @param more further arguments; the old data are in `<folder>/old`
   * @returns what the command printed
   */
  async restore(...more: readonly string[]): Promise<string> {
    await this.server.kill();
    await Deno.rename(this.data, `${this.folder}/old`);
    const from = `${this.folder}/backup`;
    const printed = await done("restore", "--from", from, "--data", this.data, ...more);
    await this.server.start();
    return printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.server.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
