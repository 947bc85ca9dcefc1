/**
 * The gateway under load: a process of its own, by the real command, on one core, and what can be
 * seen of it from outside: processor time, resident memory, the delay of its event loop.
 *
 * @module
 */

import { ServerProcess } from "@lakesync/server/testing";
import { configOf, SECRET } from "./load_world.ts";
import { percentile } from "./support.ts";

/** What the kernel counts processor time in. */
const MS_PER_TICK = 10;
const SAMPLE_MS = 1_000;

/** How a gateway is started. */
export interface LoadGatewayOptions {
  /** The core that it may use; any unless given. */
  readonly core?: number;
  /** Limits by the names of the configuration. */
  readonly limits: Readonly<Record<string, number>>;
}

/** What was seen of the process during a time. */
export interface ProcessSeen {
  /** The part of one core that it used. */
  readonly cpu: number;
  /** Processor time in seconds. */
  readonly cpuSeconds: number;
  /** Resident memory at the start, in MB. */
  readonly rssStart: number;
  /** Resident memory at the end, in MB. */
  readonly rssEnd: number;
  /** How resident memory grew over the second half, by least squares, in MB a minute. */
  readonly rssSlope: number;
  /** The delay of the event loop, in ms. */
  readonly delay: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Binds a command to a core. */
function onCore(core: number | undefined): readonly string[] {
  return core === undefined ? [] : ["taskset", "-c", String(core)];
}

/** Binds this process, all its threads, to a core. */
export async function bindSelf(core: number): Promise<void> {
  const args = ["-a", "-c", "-p", String(core), String(Deno.pid)];
  const { success } = await new Deno.Command("taskset", { args, stdout: "null" }).output();
  if (!success) throw new Error("The load script cannot be bound to a core");
}

/** Whether processes can be bound to cores here, and there are two. */
export async function canBind(): Promise<boolean> {
  if (navigator.hardwareConcurrency < 2) return false;
  try {
    const args = ["-p", String(Deno.pid)];
    return (await new Deno.Command("taskset", { args, stdout: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The processor time that a process has used, in milliseconds. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** The resident memory of a process, in MB. */
async function rss(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024;
}

/** The slope of values that were taken at equal distances, per distance. */
export function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let over = 0;
  let under = 0;
  values.forEach((value, i) => {
    over += (i - middle) * value;
    under += (i - middle) ** 2;
  });
  return under === 0 ? 0 : over / under;
}

/** A gateway process under load. */
export class LoadGateway implements AsyncDisposable {
  private constructor(
    readonly process: ServerProcess,
    readonly folder: string,
    readonly pid: number,
  ) {}

  /** Starts one with an empty data folder. */
  static async start({ core, limits }: LoadGatewayOptions): Promise<LoadGateway> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-load-" });
    const config = `${folder}/lakesync.config.json`;
    await Deno.writeTextFile(config, configOf(limits));
    const preload = decodeURIComponent(new URL("load_delay.ts", import.meta.url).pathname);
    const process = await new ServerProcess({
      data: `${folder}/data`,
      secret: SECRET,
      dev: false,
      wrapper: onCore(core),
      runtime: ["--preload", preload],
      env: { LAKESYNC_LOAD_DELAYS: `${folder}/delays` },
      args: ["--config", config],
    }).start();
    return new LoadGateway(process, folder, process.pid ?? NaN);
  }

  /** Where it listens. */
  get url(): URL {
    return new URL(this.process.url);
  }

  /** Begins to watch the process; the function ends it. */
  async watch(): Promise<() => Promise<ProcessSeen>> {
    const memory: number[] = [await rss(this.pid)];
    const began = Date.now();
    const cpuBegan = await cpuMs(this.pid);
    const timer = setInterval(async () => {
      memory.push(await rss(this.pid).catch(() => memory.at(-1) ?? NaN));
    }, SAMPLE_MS);
    return async () => {
      clearInterval(timer);
      const seconds = (Date.now() - began) / 1_000;
      const cpuSeconds = (await cpuMs(this.pid) - cpuBegan) / 1_000;
      const later = memory.slice(Math.floor(memory.length / 2));
      return {
        cpu: cpuSeconds / seconds,
        cpuSeconds,
        rssStart: memory[0] ?? NaN,
        rssEnd: await rss(this.pid),
        rssSlope: slope(later) * (60_000 / SAMPLE_MS),
        delay: await this.#delays(began),
      };
    };
  }

  async #delays(sinceMs: number): Promise<ProcessSeen["delay"]> {
    const late: number[] = [];
    const text = await Deno.readTextFile(`${this.folder}/delays`).catch(() => "");
    for (const line of text.split("\n")) {
      const [at = "", ...delays] = line.split(" ");
      if (Number(at) > sinceMs) late.push(...delays.map(Number));
    }
    late.sort((a, b) => a - b);
    return { p50: percentile(late, 0.5), p99: percentile(late, 0.99), max: late.at(-1) ?? NaN };
  }

  /** Kills it and removes what it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
