/**
 * A gateway process that flushes small batches all the time to a real database.
 *
 * @module
 */

import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { until } from "../e2e/wait.ts";
import { query } from "../servers/testing_sql.ts";
import type { DatabaseTest, Product } from "../servers/tests.ts";
import { SCHEMA } from "./support_flush_values.ts";
import { FlushWriter } from "./support_flush_writer.ts";
import { freePort, SECRET } from "./support_site.ts";

/** The database is in one zone and the gateway in another, both not whole hours from UTC. */
export const ZONES: Readonly<Record<Product, Readonly<Record<string, string>>>> = {
  postgres: { timezone: "Asia/Kathmandu" },
  mariadb: { "default-time-zone": "+05:45" },
};
const GATEWAY_ZONE = "America/St_Johns";

/** How many kills each test of flushes does. */
export const FLUSH_KILLS: number = Number(Deno.env.get("LAKESYNC_TEST_FLUSH_KILLS") ?? "10");

const FLUSH = { everyMs: 10, maxChanges: 40, maxRetryMs: 300 };

/** Flushing is to begin again within so long after a kill, in milliseconds. */
const STUCK_MS = 60_000;

/** Counts transactions of others that have begun in the database. */
const OPEN_TRANSACTIONS: Readonly<Record<Product, string>> = {
  postgres: `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend' AND xact_start IS NOT NULL`,
  mariadb: `SELECT count(*) AS n FROM information_schema.INNODB_TRX
    WHERE trx_mysql_thread_id <> connection_id()`,
};

/** How the destination stands, as the gateway tells. */
export interface Standing {
  /** Its state. */
  readonly state: string;
  /** Up to where everything has arrived. */
  readonly seq: string;
  /** How many commits it lacks. */
  readonly lagCommits: number;
  /** The last failure. */
  readonly lastError?: { readonly message: string };
}

/** What a site may be opened with. */
export interface FlushSiteOptions {
  /** How long a statement, or its wait for a lock, may take. */
  readonly statementTimeoutMs?: number;
  /** How long a write may take. */
  readonly flushTimeoutMs?: number;
}

/** A gateway process and its writers, closed together. */
export class FlushSite implements AsyncDisposable {
  /** The gateway process. */
  readonly server: ServerProcess;
  /** The writers. */
  readonly writers: FlushWriter[] = [];

  private constructor(
    readonly product: Product,
    readonly database: DatabaseTest,
    readonly folder: string,
    more: readonly string[],
  ) {
    this.server = new ServerProcess({
      data: `${folder}/gateway`,
      secret: SECRET,
      port: freePort(),
      args: ["--config", `${folder}/lakesync.json`, "--log-level", "error", ...more],
      env: { TZ: GATEWAY_ZONE },
    });
  }

  /** Starts a gateway process that flushes to a database. */
  static async open(
    product: Product,
    database: DatabaseTest,
    { flushTimeoutMs, ...options }: FlushSiteOptions = {},
  ): Promise<FlushSite> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-flush-" });
    const type = product === "postgres" ? "postgres" : "mysql";
    const config = {
      gateways: { default: { schema: SCHEMA } },
      destinations: { there: { type, url: database.url, ...options, flush: FLUSH } },
    };
    await Deno.writeTextFile(`${folder}/lakesync.json`, JSON.stringify(config));
    const more = flushTimeoutMs === undefined ? [] : ["--flush-timeout-ms", `${flushTimeoutMs}`];
    const site = new FlushSite(product, database, folder, more);
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
   * @param hasLarge whether some transactions and values are large
   */
  write(writers: number, everyMs: number, hasLarge = true): void {
    for (let i = 0; i < writers; i++) {
      const writer = new FlushWriter(`w${i}`, () => this.server.url);
      writer.start(everyMs, hasLarge);
      this.writers.push(writer);
    }
  }

  /** Asks the gateway as its administrator. */
  async admin(method: string, path: string): Promise<{ destinations: readonly Standing[] }> {
    const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.server.url}/v1/admin/${path}`, { method, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text);
  }

  /** How the destination stands, without asking it. */
  async standing(): Promise<Standing> {
    const [standing] = (await this.admin("GET", "stats/default")).destinations;
    if (standing === undefined) throw new Error("There is no destination");
    return standing;
  }

  /** Runs a statement in the database. */
  query(statement: string): Promise<Record<string, unknown>[]> {
    return query(this.database.url, statement);
  }

  /** The commit that the database stands at; 0 before the first flush. */
  async seq(): Promise<number> {
    const [row] = await this.query("SELECT max(seq) AS seq FROM lakesync_deltas").catch(() => []);
    return Number(row?.["seq"] ?? 0);
  }

  /** Waits until the database has got so many commits more. */
  async moved(commits: number): Promise<void> {
    const target = await this.seq() + commits;
    await this.#until("flushes go on", async () => await this.seq() >= target, STUCK_MS);
  }

  /** Whether a flush has begun a transaction that has not ended. */
  async isFlushing(): Promise<boolean> {
    const [row] = await this.query(OPEN_TRANSACTIONS[this.product]);
    return Number(row?.["n"]) > 0;
  }

  /** Waits until everything that was committed has arrived. */
  async flushed(withinMs: number = STUCK_MS): Promise<number> {
    return await this.#until("everything has arrived", async () => {
      await this.admin("POST", "flush/default");
      const { lagCommits, state } = await this.standing();
      return lagCommits === 0 && state === "idle";
    }, withinMs);
  }

  /** Waits, and tells how the destination stands when it was in vain. */
  async #until(what: string, holds: () => Promise<boolean>, withinMs: number): Promise<number> {
    try {
      return await until(what, holds, withinMs);
    } catch (cause) {
      throw new Error(`${what}: ${JSON.stringify(await this.standing())}`, { cause });
    }
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
}
