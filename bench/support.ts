/**
 * What all benchmarks share: medians with spread, facts about the machine, a gateway process with a
 * schema, and rows to send.
 *
 * @module
 */

import {
  createClock,
  decodePullResult,
  decodePushResult,
  type Delta,
  encodePull,
  encodePush,
  type HybridClock,
  PROTOBUF_TYPE,
  type PullRequest,
  type PullResult,
  type RulesSpec,
  type SchemaSpec,
  type Shape,
  type Transaction,
  type Value,
} from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";

/** What the kernel counts processor time in. */
const MS_PER_TICK = 10;
const SECRET = "benchmarks use this secret of many characters";

/** The schema of all benchmarks: a key and five columns. */
export const SCHEMA = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        body: "string",
        n: "integer",
        x: "number",
        done: "boolean",
      },
    },
  },
} as const;

const INSERT: Shape = {
  op: "INSERT",
  table: "notes",
  columns: ["title", "body", "n", "x", "done"],
};

/** Minimum, median and maximum of some runs. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Sums up some runs. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    min: sorted[0] ?? NaN,
    median: percentile(sorted, 0.5),
    max: sorted.at(-1) ?? NaN,
  };
}

/** A percentile of values that are sorted already. */
export function percentile(sorted: readonly number[], p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? NaN;
}

/** Writes a spread as `median (min–max)`. */
export function show({ min, median, max }: Spread, digits = 0): string {
  const text = (n: number) =>
    n.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return `${text(median)} (${text(min)}–${text(max)})`;
}

/** What was asked for beside what was measured. */
export function verdict(measured: number, aim: number, better: "more" | "less"): string {
  const met = better === "more" ? measured >= aim : measured <= aim;
  return met
    ? `aim ${aim} met`
    : `aim ${aim} MISSED by ${(Math.abs(measured / aim - 1) * 100).toFixed(0)} %`;
}

/** Facts about the machine and versions. */
export function machine(): string {
  const memory = (Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0);
  return `${navigator.hardwareConcurrency} cores, ${memory} GiB, ${Deno.build.os} ${Deno.build.arch}, ` +
    `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`;
}

/** A row of the benchmarks' table. */
export interface Row {
  readonly id: string;
  readonly values: readonly Value[];
}

/** Makes rows with random keys, as apps have them. */
export function makeRows(count: number): Row[] {
  return Array.from({ length: count }, (_, i) => ({
    id: crypto.randomUUID(),
    values: [`Title of row ${i}`, "A line of text as notes have it", i, i / 7, i % 2 === 0],
  }));
}

/** Rows as deltas. */
export function toDeltas(rows: readonly Row[], clock: HybridClock): Delta[] {
  return rows.map(({ id, values }) => ({
    shape: INSERT,
    rowId: id,
    hlc: clock.tick(),
    values,
    deltaId: undefined,
  }));
}

/** A gateway process for a benchmark. */
export class BenchServer implements AsyncDisposable {
  readonly clock: HybridClock = createClock(() => Date.now());

  private constructor(
    readonly process: ServerProcess,
    readonly data: string,
    readonly token: string,
  ) {}

  /** Starts one with an empty data folder. */
  static async start(): Promise<BenchServer> {
    const data = await Deno.makeTempDir({ prefix: "lakesync-bench-" });
    // One user and one address measure what many would have.
    const args = ["--rate-user-per-second", "0", "--rate-ip-per-second", "0"];
    const process = await new ServerProcess({ data, secret: SECRET, args }).start();
    const token = await signToken({ secret: SECRET, sub: "bench", gw: "*", role: "admin" });
    return new BenchServer(process, data, token);
  }

  get url(): string {
    return this.process.url;
  }

  /** Makes a gateway with a schema. */
  async gateway(gatewayId: string, schema: SchemaSpec = SCHEMA): Promise<void> {
    await this.#admin("PUT", `schema/${gatewayId}`, schema);
  }

  /** Puts rules; they may still be being built when it resolves. */
  async putRules(gatewayId: string, rules: RulesSpec): Promise<void> {
    await this.#admin("PUT", `sync-rules/${gatewayId}`, rules);
  }

  /** Whether rules are still being built. */
  async building(gatewayId: string): Promise<boolean> {
    const headers = await this.#admin("GET", `sync-rules/${gatewayId}`);
    return headers.get("X-LakeSync-Rules") === "building";
  }

  async #admin(method: string, path: string, body?: object): Promise<Headers> {
    const response = await fetch(`${this.url}/v1/admin/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return response.headers;
  }

  /** Signs a user's token. */
  userToken(sub: string): Promise<string> {
    return signToken({ secret: SECRET, sub, gw: "*" });
  }

  /** Sends a body that was encoded already. */
  async post(
    gatewayId: string,
    path: string,
    body: Uint8Array,
    token: string = this.token,
  ): Promise<Uint8Array> {
    const response = await fetch(`${this.url}/v1/sync/${gatewayId}/${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": PROTOBUF_TYPE,
        accept: PROTOBUF_TYPE,
      },
      body: new Uint8Array(body),
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    if (!response.ok) throw new Error(`${path} was answered ${response.status}`);
    return answer;
  }

  /** Pushes bodies that were encoded already, one after the other. */
  async pushAll(
    gatewayId: string,
    bodies: readonly Uint8Array[],
    token: string = this.token,
  ): Promise<void> {
    for (const body of bodies) {
      const { rejected } = decodePushResult(await this.post(gatewayId, "push", body, token));
      const [first] = rejected;
      if (first !== undefined) throw new Error(`A transaction was refused: ${first.message}`);
    }
  }

  /** Pulls one page. */
  async pull(
    gatewayId: string,
    request: PullRequest,
    token: string = this.token,
  ): Promise<{ page: PullResult; bytes: number }> {
    const body = await this.post(gatewayId, "pull", encodePull(request), token);
    return { page: decodePullResult(body), bytes: body.length };
  }

  /** Fills a gateway with rows, quickly. */
  async fill(gatewayId: string, count: number): Promise<void> {
    const clientId = `filler-${crypto.randomUUID()}`;
    for (let done = 0, mutationId = 1; done < count; done += 10_000, mutationId++) {
      const deltas = toDeltas(makeRows(Math.min(10_000, count - done)), this.clock);
      await this.pushAll(gatewayId, [encodeTransactions(clientId, [{ mutationId, deltas }])]);
    }
  }

  /** The process's memory in MB: resident now, and the most it ever was. */
  async memory(): Promise<{ now: number; peak: number }> {
    const status = await Deno.readTextFile(`/proc/${this.process.pid}/status`);
    const field = (name: string) =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? NaN) / 1024;
    return { now: field("VmRSS"), peak: field("VmHWM") };
  }

  /** The processor time that the process has used, in milliseconds. */
  async cpuMs(): Promise<number> {
    const stat = await Deno.readTextFile(`/proc/${this.process.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill();
    await Deno.remove(this.data, { recursive: true });
  }
}

/** Encodes a push. */
export function encodeTransactions(
  clientId: string,
  transactions: readonly Transaction[],
): Uint8Array {
  return encodePush({ clientId, schemaVersion: 1, transactions });
}
