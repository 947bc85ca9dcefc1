/**
 * A gateway process that flushes small batches all the time to a lake in a folder.
 *
 * @module
 */

import { type FlushPosition, type ObjectStore, openFileObjects } from "@lakesync/adapters";
import { lakeLocation } from "@lakesync/adapters/lake";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { loadTables, ownPosition } from "../../adapters/lake/flush/tables.ts";
import { type LakePlace, readingLake } from "../conformance/testing_lake.ts";
import { until } from "../e2e/wait.ts";
import type { Standing } from "./support_flush_site.ts";
import { SCHEMA } from "./support_flush_values.ts";
import { FlushWriter } from "./support_flush_writer.ts";
import { freePort, SECRET } from "./support_site.ts";

const FLUSH = { everyMs: 30, maxChanges: 100, maxRetryMs: 300 };
const MERGE_MS = 100;
const STUCK_MS = 60_000;

/** A gateway process and its writers, closed together. */
export class LakeSite implements AsyncDisposable {
  /** The gateway process. */
  readonly server: ServerProcess;
  /** The writers. */
  readonly writers: FlushWriter[] = [];
  /** Where its lake is. */
  readonly place: LakePlace;

  private constructor(readonly folder: string) {
    this.place = { location: lakeLocation(`file://${folder}/lake`), namespace: "default" };
    this.server = new ServerProcess({
      data: `${folder}/gateway`,
      secret: SECRET,
      port: freePort(),
      args: ["--config", `${folder}/lakesync.json`, "--log-level", "error"],
    });
  }

  /** Starts a gateway process that flushes to a lake. */
  static async open(): Promise<LakeSite> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-lake-" });
    const store = { type: "fs", folder: `${folder}/lake` };
    const config = {
      gateways: { default: { schema: SCHEMA } },
      destinations: { there: { type: "lake", store, mergeEveryMs: MERGE_MS, flush: FLUSH } },
    };
    await Deno.writeTextFile(`${folder}/lakesync.json`, JSON.stringify(config));
    const site = new LakeSite(folder);
    try {
      await site.server.start();
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  /**
   * Begins to write.
   *
   * @param writers how many write
   * @param everyMs the mean time between two transactions of one, in milliseconds
   */
  write(writers: number, everyMs: number): void {
    for (let i = 0; i < writers; i++) {
      const writer = new FlushWriter(`w${i}`, () => this.server.url);
      writer.start(everyMs, true);
      this.writers.push(writer);
    }
  }

  /** The lake's objects; to be opened while the gateway does not run, or when all has arrived. */
  objects(): Promise<ObjectStore> {
    return openFileObjects(`${this.folder}/lake`);
  }

  /** Where the lake says it stands. */
  async position(): Promise<FlushPosition | undefined> {
    return ownPosition(await loadTables(readingLake(await this.objects(), this.place)));
  }

  /** How the destination stands. */
  async standing(): Promise<Standing> {
    const { destinations } = await this.#admin("GET", "destinations/default");
    const [standing] = destinations;
    if (standing === undefined) throw new Error("There is no destination");
    return standing;
  }

  /** Waits until the lake has got so many commits more. */
  async moved(commits: number): Promise<void> {
    // Of a gateway that has just begun nothing is known yet, so the lake is asked.
    const target = ((await this.position())?.seq ?? 0) + commits;
    await until(
      "flushes go on",
      async () => Number((await this.standing()).seq ?? 0) >= target,
      STUCK_MS,
    );
  }

  /** Waits until everything that was committed has arrived, for as long as flushes go on. */
  async flushed(): Promise<number> {
    const start = performance.now();
    for (let isThere = false; !isThere;) {
      const before = (await this.standing()).seq;
      await until("a flush goes on", async () => {
        await this.#admin("POST", "flush/default");
        const { lagCommits, state, seq } = await this.standing();
        isThere = lagCommits === 0 && state === "idle";
        return isThere || seq !== before;
      }, STUCK_MS);
    }
    return performance.now() - start;
  }

  /** Stops the writers. */
  async quiet(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.stop()));
  }

  /** Stops everything, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.server.pid === undefined && this.writers.length > 0) await this.server.start();
    await this.quiet();
    await this.server.kill();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #admin(
    method: string,
    path: string,
  ): Promise<{ readonly destinations: readonly Standing[] }> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.server.url}/v1/admin/${path}`, { method, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text);
  }
}
