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
const DELAY_BUCKET = /^lakesync_event_loop_delay_seconds_bucket\{.*le="([^"]+)".*\} (\d+)$/gm;
/** The tick of load_delay.ts. */
const DELAY_TICK_MS = 10;

/** How a gateway is started. */
export interface LoadGatewayOptions {
  /** The core that it may use; any unless given. */
  readonly core?: number;
  /** Limits by the names of the configuration. */
  readonly limits: Readonly<Record<string, number>>;
}

/** How long the event loop keeps waiting whoever comes at any instant, in ms. */
export interface Delay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The 99th percentile of how late a timer of 10 ms came, where a long delay is but one tick. */
  readonly p99OfTicks: number;
  /** The 99th percentile without the time in which the thread waited for its core. */
  readonly p99OfItsOwn: number;
  /** The 99th percentile by the gateway's own metric, interpolated between its bounds. */
  readonly p99OfMetric: number;
}

/** What was seen of the process during a time. */
export interface ProcessSeen {
  /** The part of one core that it used. */
  readonly cpu: number;
  /** Processor time in seconds. */
  readonly cpuSeconds: number;
  /** How long its main thread could run and was not let, in seconds: its core was used by others. */
  readonly waitedSeconds: number;
  /** Resident memory at the start, in MB. */
  readonly rssStart: number;
  /** Resident memory at the end, in MB. */
  readonly rssEnd: number;
  /** The most resident memory of the first and of the second half, in MB. */
  readonly rssPeaks: readonly [first: number, second: number];
  /** How resident memory grew over the second half, by least squares, in MB a minute. */
  readonly rssSlope: number;
  /** The delay of the event loop. */
  readonly delay: Delay;
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

/** The processor time that a process has used, in milliseconds; NaN where it is not told. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await procText(`${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** How long the main thread of a process waited for a core, in milliseconds. */
async function waitedMs(pid: number): Promise<number> {
  return Number((await procText(`${pid}/schedstat`)).split(" ")[1]) / 1e6;
}

/** The resident memory of a process, in MB. */
async function rss(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await procText(`${pid}/status`))?.[1] ?? NaN) / 1024;
}

async function procText(file: string): Promise<string> {
  return await Deno.readTextFile(`/proc/${file}`).catch(() => "");
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

/** A quantile of what was counted since, as Prometheus reckons it. */
function quantileOf(
  buckets: ReadonlyMap<number, number>,
  before: ReadonlyMap<number, number>,
  q: number,
): number {
  const counts = [...buckets].map(([le, n]) => [le, n - (before.get(le) ?? 0)] as const)
    .sort(([a], [b]) => a - b);
  const rank = q * (counts.at(-1)?.[1] ?? 0);
  let [low, below] = [0, 0];
  for (const [le, n] of counts) {
    if (n >= rank && n > 0) {
      return le === Infinity ? low : low + (le - low) * ((rank - below) / (n - below));
    }
    [low, below] = [le, n];
  }
  return NaN;
}

/** A long delay is one tick, and many instants: those at which a tick was missed wait for its rest. */
function atAnyInstant(late: readonly number[]): readonly number[] {
  return late.flatMap((ms) => {
    const waits: number[] = [];
    for (let left = ms; left > 0; left -= DELAY_TICK_MS) waits.push(left);
    return waits.length === 0 ? [0] : waits;
  }).sort((a, b) => a - b);
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
    const { pid } = this;
    const memory: number[] = [await rss(pid)];
    const began = Date.now();
    const cpuBegan = await cpuMs(pid);
    const waitBegan = await waitedMs(pid);
    const bucketsBegan = await this.#delayBuckets();
    const timer = setInterval(async () => void memory.push(await rss(pid)), SAMPLE_MS);
    return async () => {
      clearInterval(timer);
      const seconds = (Date.now() - began) / 1_000;
      const cpuSeconds = (await cpuMs(pid) - cpuBegan) / 1_000;
      memory.push(await rss(pid));
      const half = Math.ceil(memory.length / 2);
      const later = memory.slice(half);
      return {
        cpu: cpuSeconds / seconds,
        cpuSeconds,
        waitedSeconds: (await waitedMs(pid) - waitBegan) / 1_000,
        rssStart: memory[0] ?? NaN,
        rssEnd: memory.at(-1) ?? NaN,
        rssPeaks: [Math.max(...memory.slice(0, half)), Math.max(...later)],
        rssSlope: slope(later) * (60_000 / SAMPLE_MS),
        delay: {
          ...await this.#delays(began),
          p99OfMetric: quantileOf(await this.#delayBuckets(), bucketsBegan, 0.99) * 1_000,
        },
      };
    };
  }

  /** The buckets of the gateway's own histogram: counts up to each bound in seconds. */
  async #delayBuckets(): Promise<ReadonlyMap<number, number>> {
    const text = await (await fetch(new URL("/metrics", this.url))).text();
    const buckets = text.matchAll(DELAY_BUCKET);
    return new Map(
      [...buckets].map(([, le, n]) => [le === "+Inf" ? Infinity : Number(le), Number(n)]),
    );
  }

  async #delays(sinceMs: number): Promise<Omit<Delay, "p99OfMetric">> {
    const late: number[] = [];
    const own: number[] = [];
    const text = await Deno.readTextFile(`${this.folder}/delays`).catch(() => "");
    for (const line of text.split("\n")) {
      const [at = "", ...ticks] = line.split(" ");
      if (Number(at) <= sinceMs) continue;
      for (const tick of ticks) {
        const [ms = NaN, waited = NaN] = tick.split("/").map(Number);
        late.push(ms);
        own.push(Math.max(0, ms - waited));
      }
    }
    const waits = atAnyInstant(late);
    return {
      p50: percentile(waits, 0.5),
      p99: percentile(waits, 0.99),
      max: waits.at(-1) ?? NaN,
      p99OfTicks: percentile(late.sort((a, b) => a - b), 0.99),
      p99OfItsOwn: percentile(atAnyInstant(own), 0.99),
    };
  }

  /** Kills it and removes what it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
