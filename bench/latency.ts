/**
 * From a local commit on one client to the row being visible on another, over WebSocket, at 1, 100
 * and 500 transactions a second. Gateway, writer and reader are processes of their own.
 *
 * @module
 */

import { createClient } from "@lakesync/client";
import { BenchServer, percentile, SCHEMA, verdict } from "./support.ts";

const RATES: readonly (readonly [perSecond: number, seconds: number])[] = [[1, 30], [100, 10], [
  500,
  10,
]];
const AIM_P99_MS = 25;

const now = () => performance.timeOrigin + performance.now();

/** Rows are numbered, so that the greatest visible one tells of all before it. */
const idOf = (n: number) => String(n).padStart(9, "0");

/** A reader process: prints the greatest visible id and the time, whenever it changes. */
async function read(url: string, token: string, gateway: string): Promise<void> {
  const client = await createClient({
    url,
    gateway,
    database: `${await Deno.makeTempDir({ prefix: "lakesync-reader-" })}/reader.db`,
    schema: SCHEMA,
    getToken: () => token,
  });
  client.status.subscribe(({ connected }) => connected && console.log("connected"));
  client.live("SELECT id FROM notes ORDER BY id DESC LIMIT 1", [], ([row]) => {
    if (row !== undefined) console.log(`${row["id"]} ${now()}`);
  });
}

class Reader {
  readonly #child: Deno.ChildProcess;
  readonly #seen: { id: string; at: number }[] = [];
  readonly #connected = Promise.withResolvers<void>();
  #waiting: () => void = () => {};

  constructor(server: BenchServer, gateway: string) {
    const script = decodeURIComponent(new URL(import.meta.url).pathname);
    const args = ["run", "-A", script, "read", server.url, server.token, gateway];
    this.#child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    this.#listen();
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [id = "", at] = line.split(" ");
        if (id === "connected") this.#connected.resolve();
        else this.#seen.push({ id, at: Number(at) });
      }
      this.#waiting();
    }
  }

  connected(): Promise<void> {
    return this.#connected.promise;
  }

  async sees(id: string): Promise<void> {
    while ((this.#seen.at(-1)?.id ?? "") < id) {
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
  }

  /** When each row was first visible. */
  times(ids: readonly string[]): number[] {
    let at = 0;
    return ids.map((id) => {
      while ((this.#seen[at]?.id ?? "") < id) at++;
      return this.#seen[at]?.at ?? NaN;
    });
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** Runs the benchmark and prints its table. */
export async function benchLatency(): Promise<void> {
  console.log("\nLocal commit to visible on another client, over WebSocket");
  await using server = await BenchServer.start();
  for (const [perSecond, seconds] of RATES) {
    const gateway = `rate-${perSecond}`;
    await server.gateway(gateway);
    const reader = new Reader(server, gateway);
    await reader.connected();
    const folder = await Deno.makeTempDir({ prefix: "lakesync-writer-" });
    const writer = await createClient({
      url: server.url,
      gateway,
      database: `${folder}/writer.db`,
      schema: SCHEMA,
      getToken: () => server.token,
    });
    const sql = "INSERT INTO notes VALUES (?, 'title', 'body', ?, 0.5, 1)";
    await writer.exec(sql, [idOf(0), 0]);
    await reader.sees(idOf(0));
    const commits: { id: string; at: number }[] = [];
    const began = performance.now();
    for (let n = 1; n <= perSecond * seconds; n++) {
      const due = began + (n * 1000) / perSecond;
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      await writer.exec(sql, [idOf(n), n]);
      commits.push({ id: idOf(n), at: now() });
    }
    await reader.sees(commits.at(-1)?.id ?? "");
    const times = reader.times(commits.map(({ id }) => id));
    const sorted = commits.map(({ at }, i) => (times[i] ?? NaN) - at).sort((a, b) => a - b);
    const p99 = percentile(sorted, 0.99);
    console.log(
      `${String(perSecond).padStart(4)}/s for ${seconds} s: p50 ${
        percentile(sorted, 0.5).toFixed(1)
      } ms, p99 ${p99.toFixed(1)} ms, max ${sorted.at(-1)?.toFixed(1)} ms` +
        (perSecond === 100 ? `; p99 ${verdict(Math.round(p99), AIM_P99_MS, "less")}` : ""),
    );
    await reader.stop();
    await writer.close();
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [mode, url = "", token = "", gateway = ""] = Deno.args;
  if (mode === "read") await read(url, token, gateway);
  else await benchLatency();
}
