/**
 * One run: a gateway with its clients connected, commits by a schedule, and what came of them.
 *
 * @module
 */

import { createClock } from "@lakesync/core";
import { HttpClient, LiveClient, type Pusher } from "./load_clients.ts";
import { cpuMs, LoadGateway, type ProcessSeen } from "./load_gateway.ts";
import { keepSchedule } from "./load_schedule.ts";
import { type Quantiles, quantiles, Tally } from "./load_tally.ts";
import { makeUsers, noteOf } from "./load_world.ts";

/** Clients that connect at once. */
const CONNECTING = 16;
/** How long what was committed may take to be seen, once no more is, in milliseconds. */
const SETTLE_MS = 10_000;
/** How often it is looked at, in milliseconds. */
const LOOK_MS = 20;

/** What is put on the gateway. */
export interface LoadPlan {
  /** The core that the gateway is bound to; any unless given. */
  readonly core?: number;
  /** Live clients. */
  readonly live: number;
  /** Buckets that they are in, as many in each. */
  readonly teams: number;
  /** Each live client commits once in so many milliseconds. */
  readonly liveIntervalMs: number;
  /** Clients that push over HTTP. */
  readonly http: number;
  /** Each of them pushes once in so many milliseconds. */
  readonly httpIntervalMs: number;
  /** Whether they push into buckets of their own, which no live client reads. */
  readonly httpApart: boolean;
  /** The time before anything counts, in milliseconds. */
  readonly warmUpMs: number;
  /** The time that counts, in milliseconds. */
  readonly measureMs: number;
}

/** What was seen while a plan was kept. */
export type Driven = Pick<LoadResult, "gateway" | "scriptCpu" | "pages">;

/** What came of a run. */
export interface LoadResult {
  readonly ws: Quantiles;
  readonly http: Quantiles;
  /** From due to seen by all others of the team. */
  readonly lag: Quantiles;
  /** The lags in the order in which commits were due. */
  readonly lags: readonly number[];
  /** Commits that counted. */
  readonly commits: number;
  /** Those that were not acknowledged. */
  readonly unanswered: number;
  /** Those that were acknowledged and not seen by all others. */
  readonly unseen: number;
  /** Pages that live clients were sent meanwhile; several commits may come in one. */
  readonly pages: number;
  /** What went wrong, and how often. */
  readonly failures: ReadonlyMap<string, number>;
  readonly gateway: ProcessSeen;
  /** How late the script was itself. */
  readonly late: Quantiles;
  /** The part of one core that the script used. */
  readonly scriptCpu: number;
}

/** What the limits of the gateway must allow. */
export function limitsOf({ live }: Pick<LoadPlan, "live">): Record<string, number> {
  return {
    maxConnections: live + 10,
    maxMessagesPerSecond: 1_000,
    rateUserPerSecond: 100_000,
    rateUserBurst: 100_000,
    rateIpPerSecond: 100_000,
    rateIpBurst: 100_000,
  };
}

/** A gateway with clients. */
export class LoadRun implements AsyncDisposable {
  readonly tally: Tally = new Tally();
  readonly live: LiveClient[] = [];
  readonly http: HttpClient[] = [];
  readonly #readers = new Map<string, number>();
  readonly #clock = createClock(() => Date.now());
  #commits = 0;

  private constructor(readonly gateway: LoadGateway, readonly plan: LoadPlan) {}

  /** Starts the gateway and connects all clients. */
  static async start(plan: LoadPlan): Promise<LoadRun> {
    const gateway = await LoadGateway.start({
      limits: limitsOf(plan),
      ...(plan.core === undefined ? {} : { core: plan.core }),
    });
    const run = new LoadRun(gateway, plan);
    try {
      await run.#connect();
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
    return run;
  }

  async #connect(): Promise<void> {
    const { live, teams, http, httpApart } = this.plan;
    const { url } = this.gateway;
    const users = await makeUsers("live", live, teams);
    const waiting = users.values();
    await Promise.all(Array.from({ length: CONNECTING }, async () => {
      for (const user of waiting) {
        this.live.push(await LiveClient.connect(url, user, this.tally));
        this.#readers.set(user.team, (this.#readers.get(user.team) ?? 0) + 1);
      }
    }));
    for (const user of await makeUsers("http", http, teams, httpApart ? "apart" : "team")) {
      this.http.push(new HttpClient(url, user, this.tally));
    }
  }

  /** Commits by the plan; ends before when the signal says so. */
  async commit(signal?: AbortSignal): Promise<void> {
    const { warmUpMs, measureMs, liveIntervalMs, httpIntervalMs } = this.plan;
    const start = performance.now();
    const from = start + warmUpMs;
    await keepSchedule<LiveClient | HttpClient>(
      [
        { clients: this.live, intervalMs: liveIntervalMs },
        { clients: this.http, intervalMs: httpIntervalMs },
      ],
      start,
      from + measureMs,
      (client, due) => this.#commit(client, due, due >= from),
      signal,
    );
  }

  /** Commits by the plan and watches the gateway meanwhile. */
  async drive(): Promise<Driven> {
    const driving = this.commit();
    await new Promise((resolve) => setTimeout(resolve, this.plan.warmUpMs));
    const seen = await this.gateway.watch();
    const cpuBegan = await cpuMs(Deno.pid);
    const pagesBegan = this.tally.pages;
    const began = performance.now();
    await driving;
    const gateway = await seen();
    const scriptCpu = (await cpuMs(Deno.pid) - cpuBegan) / (performance.now() - began);
    return { gateway, scriptCpu, pages: this.tally.pages - pagesBegan };
  }

  #commit(client: Pusher, due: number, measured: boolean): void {
    const { user } = client;
    const live = client instanceof LiveClient;
    const n = ++this.#commits;
    const readers = (this.#readers.get(user.team) ?? 0) - (live ? 1 : 0);
    const commit = {
      rowId: `${user.id}-${n}`,
      author: user.id,
      team: user.team,
      road: live ? "ws" as const : "http" as const,
      due,
      measured,
      unseen: readers,
    };
    this.tally.add(commit, performance.now());
    client.push(commit, noteOf(user, commit.rowId, n, this.#clock));
  }

  /** Waits until everything is answered and seen, for a while. */
  async settle(): Promise<void> {
    const until = performance.now() + SETTLE_MS;
    while (this.tally.open > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Sums up. */
  result(driven: Driven): LoadResult {
    const counted = this.tally.commits().filter(({ measured }) => measured);
    const answered = counted.filter(({ acked }) => acked !== undefined);
    const lags = this.tally.lags();
    return {
      ws: this.tally.answers("ws"),
      http: this.tally.answers("http"),
      lag: quantiles(lags),
      lags,
      commits: counted.length,
      unanswered: counted.length - answered.length,
      unseen: answered.filter(({ unseen }) => unseen > 0).length,
      failures: this.tally.failures,
      late: this.tally.lateness(),
      ...driven,
    };
  }

  /** Closes all clients and kills the gateway. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.live) client.cut();
    await Promise.all(this.live.map(({ ended }) => ended));
    await this.gateway[Symbol.asyncDispose]();
    await Promise.all(this.http.map((client) => client.close()));
  }
}

/** Starts, commits, settles, sums up, and takes everything down. */
export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  await using run = await LoadRun.start(plan);
  const driven = await run.drive();
  await run.settle();
  return run.result(driven);
}
