/**
 * A gateway process with limits of its own, looked at from outside: its memory, its descriptors, and
 * how long pushes take on it.
 *
 * @module
 */

import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import assert from "node:assert/strict";
import { SECRET } from "./support_site.ts";

/** A table of texts. */
export const TEXTS = {
  version: 1,
  tables: { texts: { primaryKey: ["id"], columns: { id: "string", text: "string" } } },
} as const;

/** What a gateway process takes. */
export interface Use {
  /** Memory, in bytes. */
  readonly rssBytes: number;
  /** Open descriptors. */
  readonly descriptors: number;
}

/** A gateway process that is looked at. */
export class LiveSite implements AsyncDisposable {
  readonly #mutations = new Map<string, number>();

  private constructor(readonly server: ServerProcess, readonly folder: string) {}

  /**
   * Starts it.
   *
   * @param args flags of `lakesync serve`
   * @param runtime flags of the runtime
   */
  static async open(
    args: readonly string[],
    runtime: readonly string[] = [],
  ): Promise<LiveSite> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-live-" });
    const server = new ServerProcess({ data: folder, secret: SECRET, args, runtime });
    await server.start();
    const site = new LiveSite(server, folder);
    const { status, body } = await site.admin("schema/default", { method: "PUT", body: TEXTS });
    assert.equal(status, 200, JSON.stringify(body));
    return site;
  }

  /** Signs a token. */
  token(sub: string, role: "client" | "admin" = "client"): Promise<string> {
    return signToken({ secret: SECRET, sub, gw: "*", role });
  }

  /** Asks as an admin. */
  async admin(
    path: string,
    { method = "GET", body }: { readonly method?: string; readonly body?: object } = {},
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
    const response = await fetch(`${this.server.url}/v1/admin/${path}`, {
      method,
      headers: {
        "authorization": `Bearer ${await this.token("root", "admin")}`,
        "content-type": "application/json",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }

  /** How many live connections have a place. */
  async connections(): Promise<number> {
    const { body } = await this.admin("stats/default");
    return Number(body["connections"]);
  }

  /** What the process takes at the moment. */
  async use(): Promise<Use> {
    const folder = `/proc/${this.server.pid}`;
    const status = await Deno.readTextFile(`${folder}/status`);
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(status) ?? [];
    const descriptors = [...Deno.readDirSync(`${folder}/fd`)].length;
    return { rssBytes: Number(kib) * 1024, descriptors };
  }

  /**
   * Pushes rows.
   *
   * @param sub the user, with a client of that name
   * @param rows their ids
   * @param textBytes how long the text of each is
   * @returns the status, and how long the answer took, in milliseconds
   */
  async push(
    sub: string,
    rows: readonly string[],
    textBytes: number,
  ): Promise<{ readonly status: number; readonly ms: number; readonly retryAfter: string | null }> {
    const mutationId = (this.#mutations.get(sub) ?? 0) + 1;
    const columns = { text: "x".repeat(textBytes) };
    const deltas = rows.map((rowId) => ({ op: "INSERT", table: "texts", rowId, columns }));
    const body = { clientId: sub, schemaVersion: 1, transactions: [{ mutationId, deltas }] };
    const headers = {
      "authorization": `Bearer ${await this.token(sub)}`,
      "content-type": "application/json",
    };
    const startMs = performance.now();
    const response = await fetch(`${this.server.url}/v1/sync/default/push`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    if (response.ok) this.#mutations.set(sub, mutationId);
    return {
      status: response.status,
      ms: performance.now() - startMs,
      retryAfter: response.headers.get("Retry-After"),
    };
  }

  /** Pushes one small row after the other; gives the 99th percentile, in milliseconds. */
  async pushMs(sub: string, forMs: number): Promise<{ readonly p99: number; readonly n: number }> {
    const times: number[] = [];
    const untilMs = performance.now() + forMs;
    while (performance.now() < untilMs) {
      const { status, ms } = await this.push(sub, [`${sub}-${times.length}-${untilMs}`], 10);
      assert.equal(status, 200);
      times.push(ms);
    }
    times.sort((a, b) => a - b);
    return { p99: times[Math.floor(times.length * 0.99)] ?? Infinity, n: times.length };
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
