/**
 * One run from its seed: a world is made, used and broken until enough was done, then nothing goes
 * wrong any more, and everybody is given time to agree.
 *
 * @module
 */

import type { Client } from "@lakesync/client";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { Mirror } from "../oracle/mirror.ts";
import type { Random } from "../oracle/random.ts";
import { Agreement } from "./agreement.ts";
import type { Device } from "./device.ts";
import {
  type Expected,
  expectedOf,
  type Logged,
  readLog,
  type Viewer,
  withDeltaIds,
} from "./expected.ts";
import { type Backups, FAULTS, fire, RESTORE, RESTORE_TO } from "./faults.ts";
import { playedBy, playedByNobody, realNowMs } from "./globals.ts";
import type { DeviceEnd, GatewayEnd, History, TableRows, Violation } from "./history.ts";
import { Kernel } from "./kernel.ts";
import { backUp } from "./restores.ts";
import { BOSS, isBoss } from "./workload.ts";
import { World } from "./world.ts";

/** How long everybody may take to agree once nothing goes wrong, in milliseconds. */
export const SETTLE_WITHIN_MS = 600_000;

/** How often it is looked whether a device agrees, in milliseconds. */
const LOOK_MS = 500;

/**
 * How long all have to agree, in milliseconds: a server may not have seen yet what another on its
 * database committed, and a device that has just connected not heard yet that it has to begin anew
 * and to give back what a gateway lost.
 */
const AGREED_MS = 2_000;

/** How long a look may take, in milliseconds: what it asks may have ended meanwhile. */
const LOOK_WITHIN_MS = 10_000;

/** How long a run may last before faults end, whatever was done, in milliseconds. */
const ACTIVE_MS = 1_800_000;

/** How a run is to be. */
export interface RunSettings {
  /** The seed. */
  readonly seed: number;
  /** Where devices keep their files. */
  readonly folder: string;
  /** How many acknowledged writes a run has at least. */
  readonly writes: number;
  /** How many kinds of faults fire at least; 0: none at all fire. */
  readonly faults: number;
  /** How probable it is that two servers share a database; 0.15 unless given. */
  readonly shared?: number;
  /** Only these faults; all unless given. */
  readonly only?: readonly string[];
}

/** What came of a run. */
export interface RunResult {
  readonly seed: number;
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Writes in acknowledged transactions. */
  readonly writes: number;
  /** Acknowledged transactions. */
  readonly transactions: number;
  /** Kinds of faults that fired, and how often. */
  readonly faults: ReadonlyMap<string, number>;
  /** How long it took until all agreed once nothing went wrong, in milliseconds of virtual time. */
  readonly convergedMs: number;
  /** How long the run was, in milliseconds of virtual time. */
  readonly virtualMs: number;
  /** How long it really took, in milliseconds. */
  readonly realMs: number;
  /** How many things happened, and what chance would have said next: alike in runs of one seed. */
  readonly trace: string;
}

/** A gateway at a moment, and what is expected of it. */
interface Now {
  /** Stands for the moment. */
  readonly key: string;
  readonly log: readonly Logged[];
  readonly expected: Expected;
}

/** Keeps a run going. */
class Runner {
  readonly #settings: RunSettings;
  readonly #kernel: Kernel;
  readonly #world: World;
  readonly #random: Random;
  readonly #mirror: Mirror;
  readonly #lists: string[] = [];
  readonly #backups: Backups = {
    server: [],
    devices: new Map(),
    gateways: new Map(),
    restored: [],
  };
  readonly #unhandled: string[] = [];
  readonly #expected = new Map<string, Now>();
  #active = true;

  constructor(settings: RunSettings, kernel: Kernel, mirror: Mirror) {
    this.#settings = settings;
    this.#kernel = kernel;
    this.#mirror = mirror;
    this.#random = kernel.random;
    this.#world = new World(kernel, {
      folder: settings.folder,
      minRows: this.#random.chance(0.3) ? 8 : 10_000,
      tokenMs: this.#random.pick([30_000, 120_000, 3_600_000]),
      gateways: this.#random.chance(0.08) ? ["one", "two"] : ["one"],
      servers: this.#random.chance(settings.shared ?? 0.15) ? 2 : 1,
    });
  }

  async run(): Promise<Omit<RunResult, "realMs">> {
    const fail = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#unhandled.push(String(event.reason?.stack ?? event.reason));
    };
    globalThis.addEventListener("unhandledrejection", fail);
    try {
      await this.#begin();
      await this.#work();
      return await this.#end();
    } finally {
      for (const device of this.#world.devices) {
        device.crash();
        device.remove();
      }
      for (const server of this.#world.servers) server.crash(false);
      globalThis.removeEventListener("unhandledrejection", fail);
    }
  }

  async #begin(): Promise<void> {
    const world = this.#world;
    const random = this.#random;
    for (const server of world.servers) server.start();
    void world.putSchema(1);
    void world.putRules(random.below(3));
    for (const gateway of world.settings.gateways) {
      // Users of two gateways are others, as the checkers take them.
      const users = ["ann", "bob", "cyd"].slice(0, random.between(2, 3))
        .map((user) => `${user}-${gateway}`);
      const boss = world.addDevice(`boss-${gateway}`, `${BOSS}-${gateway}`, gateway);
      const devices = random.between(users.length, 3);
      for (let i = 0; i < devices; i++) {
        world.addDevice(`d${world.devices.length}`, users[i % users.length] ?? "ann", gateway);
      }
      world.startDevice(boss);
      for (let i = 0; i < 3; i++) {
        const list = `${gateway}-l${i}`;
        this.#lists.push(list);
        const members = random.some(users, 0.7);
        const make = async () => {
          if (!await boss.makeList(list, members)) this.#kernel.after(1_000, () => void make());
        };
        this.#kernel.after(100, () => void make());
      }
    }
    for (const device of world.devices) {
      if (this.#settings.faults > 0 && random.chance(0.3)) {
        device.skewMs = random.between(-3_600_000, 3_600_000);
      }
      this.#kernel.after(random.below(3_000), () => world.startDevice(device));
      this.#live(device);
    }
    await Promise.resolve();
  }

  /** What a device's user does, as long as the run is active. */
  #live(device: Device): void {
    const pace = this.#random.pick([2_000, 5_000, 12_000]);
    const often = (everyMs: number, run: () => Promise<void>) => {
      const again = () => {
        if (!this.#active) return;
        run().catch((error) => this.#appFailed(device, error));
        this.#kernel.after(this.#random.between(1, 2 * everyMs), again);
      };
      this.#kernel.after(this.#random.below(2_000), again);
    };
    // Some write now and then, some much at once.
    const most = this.#random.pick([1, 4, 12]);
    often(most * pace, async () => {
      for (let i = this.#random.between(1, most); i > 0 && this.#active; i--) await device.write();
    });
    often(6 * pace, () => device.read());
    if (isBoss(device.user)) {
      const gateway = this.#gateway(device);
      const own = this.#lists.filter((list) => list.startsWith(gateway));
      often(10_000, async () => {
        const user = this.#random.pick(["ann", "bob", "cyd"]);
        await device.changeMembers(this.#random.pick(own), `${user}-${gateway}`);
      });
    }
  }

  #gateway(device: Device): string {
    return this.#world.gatewayOf.get(device) ?? "";
  }

  /** An app's own statement may fail while its disk is full or it is being closed. */
  #appFailed(device: Device, error: unknown): void {
    const text = String(error);
    if (/full|closed|is locked/.test(text)) return;
    this.#unhandled.push(`The app of ${device.name} failed: ${text}`);
  }

  #known(): number {
    return this.#world.devices.length;
  }

  async #work(): Promise<void> {
    const { recorder } = this.#world;
    const { writes, faults } = this.#settings;
    let known = this.#known();
    const look = () => {
      for (; known < this.#known(); known++) {
        const device = this.#world.devices[known];
        if (device !== undefined) this.#live(device);
      }
      if (this.#active) this.#kernel.after(200, look);
    };
    look();
    if (faults > 0) {
      this.#keepCopies();
      const { only = [RESTORE] } = this.#settings;
      if (only.includes(RESTORE) || only.includes(RESTORE_TO)) this.#backUp();
      this.#breakThings();
    }
    const enough = () => recorder.acknowledgedWrites >= writes && recorder.faults.size >= faults;
    await this.#kernel.run(enough, ACTIVE_MS);
    this.#active = false;
    this.#world.heal();
    recorder.add({ kind: "healed" });
  }

  #keepCopies(): void {
    const world = this.#world;
    const copy = () => {
      if (!this.#active) return;
      this.#backups.server.push(world.disk.snapshot());
      const device = this.#random.pick(world.devices);
      const path = `${world.settings.folder}/copy-${device.name}.db`;
      device.copyTo(path);
      this.#backups.devices.set(device, { path, committed: new Set(device.committed) });
      this.#kernel.after(this.#random.between(3_000, 30_000), copy);
    };
    this.#kernel.after(5_000, copy);
  }

  /** Backs one or all gateways up now and then, each at a moment of its own. */
  #backUp(): void {
    const { disk, settings } = this.#world;
    const { gateways } = this.#backups;
    const copy = () => {
      if (!this.#active) return;
      for (const id of this.#random.some(settings.gateways, 0.8, 1)) {
        this.#kernel.after(this.#random.below(500), () => {
          const backup = backUp(disk, id);
          if (backup === undefined) return;
          gateways.set(id, [...gateways.get(id) ?? [], backup]);
        });
      }
      this.#kernel.after(this.#random.between(3_000, 30_000), copy);
    };
    this.#kernel.after(this.#random.between(1_000, 8_000), copy);
  }

  /** Of all faults a few are picked for a run, so that runs differ. */
  #breakThings(): void {
    const all = this.#settings.only ?? Object.keys(FAULTS);
    let picked = this.#random.some(all, 0.25, Math.min(4, all.length));
    let fired = 0;
    const next = () => {
      if (!this.#active) return;
      if (++fired % 12 === 0) picked = this.#random.some(all, 0.25, Math.min(4, all.length));
      fire(this.#world, this.#backups, this.#random.pick(picked));
      this.#kernel.after(this.#random.between(100, 8_000), next);
    };
    this.#kernel.after(this.#random.between(1_000, 5_000), next);
  }

  #viewers(gateway: string): Viewer[] {
    const devices = this.#world.devices.filter((device) => this.#gateway(device) === gateway);
    const viewers = new Map<string, Viewer>();
    for (const { user, version } of devices) {
      const name = viewerName(user, version);
      viewers.set(name, { name, user, version });
    }
    return [...viewers.values()];
  }

  async #open(id: string): Promise<OpenGateway | undefined> {
    const { server } = this.#world;
    if (server.process === undefined) return undefined;
    return await server.gateways.get(id) as OpenGateway | undefined;
  }

  /** What is expected of a gateway now; worked out once for each state of its log. */
  async #expect(id: string): Promise<Now | undefined> {
    const gateway = await this.#open(id);
    if (gateway === undefined) return undefined;
    const { epoch, seq } = await gateway.store.head();
    const viewers = this.#viewers(id);
    const { version, rules } = this.#world;
    const key = JSON.stringify([epoch, seq, viewers, version, rules]);
    const known = this.#expected.get(id);
    if (known?.key === key) return known;
    const log = await readLog(gateway.store);
    const now = { key, log, expected: expectedOf(log, version, rules, viewers, this.#mirror) };
    this.#expected.set(id, now);
    return now;
  }

  /** Stands for what the gateways have committed; "" while one is not open. */
  async #heads(): Promise<string> {
    const heads: string[] = [];
    for (const id of this.#world.settings.gateways) {
      const gateway = await this.#open(id);
      if (gateway === undefined) return "";
      const { epoch, seq } = await gateway.store.head();
      heads.push(`${epoch} ${seq}`);
    }
    return heads.join(" ");
  }

  async #isSettled(device: Device): Promise<boolean> {
    const client = device.client;
    if (client === undefined || device.isWriting) return false;
    const { state, pending } = client.status.value;
    // One that is not back yet may still learn that it has to give back what a gateway lost.
    if (pending > 0 || (state !== "live" && state !== "polling")) return false;
    if (await client.pendingCount() > 0) return false;
    const now = await this.#expect(this.#gateway(device));
    const expected = now?.expected.tables[viewerName(device.user, device.version)];
    return expected !== undefined && sameTables(await device.tables(client), expected);
  }

  async #end(): Promise<Omit<RunResult, "realMs">> {
    const world = this.#world;
    const healedMs = this.#kernel.nowMs;
    let operated = false;
    void world.operated.then(() => operated = true);
    const inTime = <T>(asked: Promise<T>, unless: T) =>
      Promise.race([asked, this.#kernel.sleep(LOOK_WITHIN_MS).then(() => unless)]);
    const agreement = new Agreement<Device>({
      nowMs: () => this.#kernel.nowMs,
      heads: () => inTime(this.#heads(), ""),
      devices: () => operated ? world.devices : undefined,
      isSettled: (device) => inTime(this.#isSettled(device), false),
    });
    const again = () => {
      void agreement.look();
      this.#kernel.after(LOOK_MS, again);
    };
    again();
    const outlets = [...world.outlets.values()];
    const all = () =>
      world.servers.every(({ isReady }) => isReady) &&
      agreement.sinceMs !== undefined &&
      this.#kernel.nowMs - agreement.sinceMs >= AGREED_MS &&
      outlets.every(({ isIdle }) => isIdle);
    await this.#kernel.run(all, healedMs + SETTLE_WITHIN_MS);
    // As it was then: the looks go on.
    const result = this.#result(healedMs, new Map(agreement.settledMs));
    let finished: Omit<RunResult, "realMs"> | undefined;
    void result.then((value) => finished = value);
    await this.#kernel.run(() => finished !== undefined, this.#kernel.nowMs + 60_000);
    return await result;
  }

  async #result(
    healedMs: number,
    settled: ReadonlyMap<Device, number>,
  ): Promise<Omit<RunResult, "realMs">> {
    const world = this.#world;
    const { recorder } = world;
    const violations: Violation[] = [];
    // Asked at the moment at which all agreed: a flusher that looks for more is not idle meanwhile.
    for (const [gateway, outlets] of world.outlets) {
      if (outlets.isIdle) continue;
      const what = `The destinations of ${gateway} lack changes: ${outlets.status()}`;
      violations.push({ checker: "never_stuck", what });
    }
    const devices: DeviceEnd[] = [];
    for (const device of world.devices) {
      const client = device.client;
      const settledMs = client === undefined ? undefined : settled.get(device);
      if (settledMs !== undefined) {
        recorder.events.push({ kind: "settled", device: device.name, atMs: settledMs });
      }
      devices.push({
        device: device.name,
        user: device.user,
        gateway: this.#gateway(device),
        view: viewerName(device.user, device.version),
        settled: settledMs !== undefined || await isAtRest(client),
        status: JSON.stringify(client?.status.value ?? "not open"),
        tables: client === undefined ? {} : await device.tables(client),
        ...(client === undefined || device.hasTwin
          ? {}
          : { letters: await device.letters(client) }),
      });
    }
    const gateways: GatewayEnd[] = [];
    for (const gateway of world.settings.gateways) {
      const now = await this.#expect(gateway);
      if (now === undefined) continue;
      gateways.push({
        gateway,
        log: withDeltaIds(now.log),
        expected: now.expected.tables,
        destinations: world.outlets.get(gateway)?.ends() ?? [],
      });
      for (const what of now.expected.forbidden) violations.push({ checker: "authority", what });
    }
    for (const what of this.#unhandled) violations.push({ checker: "unhandled", what });
    const last = Math.max(healedMs, ...settled.values());
    return {
      seed: this.#settings.seed,
      history: {
        seed: this.#settings.seed,
        events: recorder.events,
        devices,
        gateways,
        settleWithinMs: SETTLE_WITHIN_MS,
      },
      violations,
      writes: recorder.acknowledgedWrites,
      transactions: recorder.acknowledged.size,
      faults: recorder.faults,
      convergedMs: last - healedMs,
      virtualMs: this.#kernel.nowMs,
      trace: `${this.#kernel.happened}-${this.#random.below(2 ** 32)}`,
    };
  }
}

/** What a device's user is called by the version of its schema. */
function viewerName(user: string, version: number): string {
  return version === 1 ? `${user}@1` : user;
}

/** Whether a client knows of nothing that is to be done: what it holds is to be right then. */
async function isAtRest(client: Client | undefined): Promise<boolean> {
  if (client === undefined) return false;
  const { pending, state } = client.status.value;
  return state === "live" && pending === 0 && await client.pendingCount() === 0;
}

/** Whether a device holds the rows that are expected, and no other. */
export function sameTables(held: TableRows, expected: TableRows): boolean {
  const names = new Set([...Object.keys(held), ...Object.keys(expected)]);
  return [...names].every((name) => sorted(held[name]) === sorted(expected[name]));
}

function sorted(rows: TableRows[string] = {}): string {
  return JSON.stringify(
    Object.entries(rows).map(([id, cells]) => [
      id,
      Object.entries(cells).sort(([a], [b]) => a < b ? -1 : 1),
    ]).sort(([a], [b]) => String(a) < String(b) ? -1 : 1),
  );
}

/**
 * Runs a seed.
 *
 * @param settings how the run is to be
 * @returns what came of it; no checker has looked at its history yet
 */
export async function runSeed(settings: RunSettings): Promise<RunResult> {
  // What is loaded when it is needed first takes real time, which no seed decides.
  await (warm ??= play({ ...settings, seed: 0, writes: 100, faults: 0 }));
  return await play(settings);
}

let warm: Promise<RunResult> | undefined;

async function play(settings: RunSettings): Promise<RunResult> {
  const startMs = realNowMs();
  const kernel = new Kernel(settings.seed);
  const folder = `${settings.folder}/${settings.seed}`;
  Deno.mkdirSync(folder);
  using mirror = new Mirror();
  playedBy(kernel);
  try {
    const result = await new Runner({ ...settings, folder }, kernel, mirror).run();
    return { ...result, realMs: realNowMs() - startMs };
  } finally {
    playedByNobody();
    Deno.removeSync(folder, { recursive: true });
  }
}
