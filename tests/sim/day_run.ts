/**
 * The course of a simulated day: every hour everybody writes, some are cut off for a while, then all
 * are quiet until they agree, and what is there is measured.
 *
 * @module
 */

import type { Retention } from "../../server/gateway/environment.ts";
import { DEFAULT_RETENTION } from "../../server/gateway/environment.ts";
import {
  heapBytes,
  heapOf,
  measureDevice,
  measureServer,
  readHeld,
  readRefusals,
} from "./day_measure.ts";
import type { DayResult, HourEnd } from "./day_hour.ts";
import { DayModel } from "./day_model.ts";
import { DayWork, listStatements } from "./day_work.ts";
import type { Device } from "./device.ts";
import { playedBy, playedByNobody, realNowMs } from "./globals.ts";
import { Kernel, settled } from "./kernel.ts";
import { GOOD } from "./link.ts";
import { World } from "./world.ts";

const GATEWAY = "one";
const BOSS = "boss-one";
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How long of each hour is written, in milliseconds. */
const ACTIVE_MS = 55 * MINUTE_MS;

/** The time between two transactions of a device on average, in milliseconds. */
const PACE_MS = MINUTE_MS;

/** What becomes of an UPDATE of a row that its owner has deleted meanwhile. */
const LATE_UPDATE = "FORBIDDEN_WRITE: No write rule allows this UPDATE";

/** How often it is looked whether all agree, in milliseconds. */
const LOOK_MS = 5_000;

/** The hours in which the server is restarted; none late, so that a process lasts long. */
const RESTARTS: ReadonlySet<number> = new Set([2, 5, 9, 12]);

/** What is kept, so that a day is long. */
export const DAY_RETENTION: Retention = {
  ...DEFAULT_RETENTION,
  logKeepMs: HOUR_MS,
  answerKeepMs: HOUR_MS,
  partKeepMs: HOUR_MS,
};

/** How a day is to be. */
export interface DaySettings {
  readonly seed: number;
  readonly hours: number;
  readonly devices: number;
  /** Where devices keep their files. */
  readonly folder: string;
  /** Told of each hour. */
  readonly onHour?: (hour: HourEnd) => void;
}

class Day {
  readonly #settings: DaySettings;
  readonly #kernel: Kernel;
  readonly #world: World;
  readonly #model = new DayModel();
  readonly #works = new Map<Device, DayWork>();
  readonly #lists: string[] = [];
  readonly #errors: string[] = [];
  readonly #hours: HourEnd[] = [];
  #active = false;

  constructor(settings: DaySettings, kernel: Kernel) {
    this.#settings = settings;
    this.#kernel = kernel;
    this.#world = new World(kernel, {
      folder: settings.folder,
      minRows: 10_000,
      tokenMs: HOUR_MS,
      gateways: [GATEWAY],
      retention: DAY_RETENTION,
      keepAcceptedDays: 1 / 24,
      keepsAll: false,
    });
  }

  async run(): Promise<DayResult> {
    const fail = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#errors.push(String(event.reason?.stack ?? event.reason));
    };
    globalThis.addEventListener("unhandledrejection", fail);
    try {
      await this.#begin();
      for (let hour = 1; hour <= this.#settings.hours; hour++) await this.#hour(hour);
      for (const { name, path } of this.#world.devices) {
        const refusals = readRefusals(path).filter((refusal) => !refusal.includes(LATE_UPDATE));
        this.#errors.push(...refusals.map((refusal) => `${name} was refused ${refusal}`));
      }
      return { hours: this.#hours, errors: [...this.#errors, ...this.#world.errors] };
    } finally {
      for (const device of this.#world.devices) {
        device.crash();
        device.remove();
      }
      this.#world.server.crash(false);
      globalThis.removeEventListener("unhandledrejection", fail);
    }
  }

  /** Lets a promise come to its end in virtual time. */
  async #await<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = () => void (over = true);
    work.then(end, end);
    await settled();
    if (!await this.#kernel.run(() => over, this.#kernel.nowMs + HOUR_MS)) {
      throw new Error("Something took more than an hour");
    }
    return await work;
  }

  /** Three devices a user, two lists a user; one sees all lists, and made them. */
  async #begin(): Promise<void> {
    const { devices } = this.#settings;
    const world = this.#world;
    world.server.start();
    void world.putSchema(1);
    await this.#await(world.putRules(0));
    const users = Math.max(2, Math.ceil((devices - 1) / 3));
    for (let i = 0; i < users; i++) this.#lists.push(`l${i}`);
    const boss = this.#addDevice("boss", BOSS, this.#lists);
    for (let i = 0; i < devices - 1; i++) {
      const user = i % users;
      this.#addDevice(`d${i}`, `u${user}`, [`l${user}`, `l${(user + 1) % users}`]);
    }
    await this.#await(boss.start());
    const { client } = boss;
    if (client === undefined) throw new Error("The first device does not run");
    for (const [i, list] of this.#lists.entries()) {
      this.#model.addList(list);
      const on = [BOSS, `u${i}`, `u${(i + users - 1) % users}`];
      await this.#await(client.transaction(async (sql) => {
        for (const { sql: text, params } of listStatements(list, on)) await sql.exec(text, params);
      }));
    }
    for (const device of world.devices) world.startDevice(device);
  }

  #addDevice(name: string, user: string, lists: readonly string[]): Device {
    const device = this.#world.addDevice(name, user, GATEWAY);
    device.link.quality = { ...GOOD, loss: 0.01 };
    this.#works.set(device, new DayWork(device, lists, this.#model, this.#kernel.random));
    this.#live(device);
    return device;
  }

  /** One transaction after the other, as long as the hour is active. */
  #live(device: Device): void {
    const { random } = this.#kernel;
    const again = async () => {
      try {
        if (this.#active) await this.#works.get(device)?.write();
      } catch (error) {
        this.#errors.push(`The app of ${device.name} failed: ${error}`);
      }
      this.#kernel.after(random.between(1, 2 * PACE_MS), () => void again());
    };
    this.#kernel.after(random.below(PACE_MS), () => void again());
  }

  async #hour(hour: number): Promise<void> {
    const startMs = this.#kernel.nowMs;
    const realMs = realNowMs();
    this.#active = true;
    this.#partition();
    if (RESTARTS.has(hour)) this.#kernel.after(35 * MINUTE_MS, () => this.#restart(hour));
    await this.#pass(startMs + ACTIVE_MS);
    this.#active = false;
    const differs = await this.#agree();
    const agreedMs = this.#kernel.nowMs - startMs - ACTIVE_MS;
    const end = this.#measure(hour, { agreedMs, differs }, realMs);
    this.#hours.push(end);
    this.#settings.onHour?.(end);
    await this.#pass(startMs + HOUR_MS);
  }

  async #pass(untilMs: number): Promise<void> {
    await this.#kernel.run(() => false, untilMs);
  }

  /** Cuts a third of the devices off, some of them one way. */
  #partition(): void {
    const { random } = this.#kernel;
    const cut = random.some(this.#world.devices, 1 / 3);
    for (const { link } of cut) {
      const directions = random.pick([["up", "down"], ["up"], ["down"]] as const);
      const set = (blocked: boolean) => {
        for (const direction of directions) link.block(direction, blocked);
      };
      const fromMs = random.between(10, 15) * MINUTE_MS;
      this.#kernel.after(fromMs, () => set(true));
      this.#kernel.after(fromMs + random.between(3, 10) * MINUTE_MS, () => set(false));
    }
  }

  /** By turns the power fails, and the server is stopped. */
  #restart(hour: number): void {
    const { server } = this.#world;
    const start = () => this.#kernel.after(20_000, () => server.start());
    if (hour % 2 === 1) {
      server.crash(true);
      start();
    } else server.stop().then(start, (error) => this.#errors.push(`No stop: ${error}`));
  }

  /** Waits until all devices hold what is expected; gives what differs when they do not in time. */
  async #agree(): Promise<string | undefined> {
    const endMs = this.#kernel.nowMs + (HOUR_MS - ACTIVE_MS) / 2;
    for (;;) {
      await this.#pass(this.#kernel.nowMs + LOOK_MS);
      const differs = this.#differs();
      if (differs === undefined || this.#kernel.nowMs >= endMs) return differs;
    }
  }

  #differs(): string | undefined {
    const shared = new Map<string, string | null>();
    for (const [device, { lists }] of this.#works) {
      if (device.client?.status.value.pending !== 0) return `${device.name} has writes to send`;
      const held = readHeld(device.path);
      const differs = this.#model.differs(new Set(lists), held);
      if (differs !== undefined) return `${device.name}: ${differs}`;
      for (const { id, b } of held.rows) {
        if (!shared.has(id)) shared.set(id, b);
        else if (shared.get(id) !== b) return `${device.name}: ${id} is not what others see`;
      }
    }
    return undefined;
  }

  #measure(
    hour: number,
    agreement: Pick<HourEnd, "agreedMs" | "differs">,
    realMs: number,
  ): HourEnd {
    const { disk, devices } = this.#world;
    const server = measureServer(disk, GATEWAY);
    const { deleted, transactions, refused, deletions } = this.#model;
    const known = heapOf(() => structuredClone(deleted));
    return {
      hour,
      restarted: RESTARTS.has(hour),
      transactions,
      refused,
      deletions,
      deletedKeys: deleted.size,
      wrongTombstones: deleted.symmetricDifference(server.deleted).size,
      server: { ...server, deleted: new Set() },
      devices: devices.map(({ path }) => measureDevice(path)),
      heapBytes: heapBytes() - server.heapBytes - known.bytes,
      rssBytes: Deno.memoryUsage().rss,
      ...agreement,
      realMs: realNowMs() - realMs,
    };
  }
}

/** Runs a day. */
export async function runDay(settings: DaySettings): Promise<DayResult> {
  const kernel = new Kernel(settings.seed);
  playedBy(kernel);
  try {
    return await new Day(settings, kernel).run();
  } finally {
    playedByNobody();
  }
}
