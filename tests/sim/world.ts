/**
 * Everything that is in a run: a server with its disk, devices with theirs, and the network between.
 *
 * @module
 */

import type { Retention } from "../../server/gateway/environment.ts";
import { memoryObjects } from "@lakesync/adapters";
import { createHash } from "node:crypto";
import type { Random } from "../oracle/random.ts";
import { Device } from "./device.ts";
import { type DiskSnapshot, SimDisk } from "./disk.ts";
import { EPOCH_MS } from "./globals.ts";
import type { Kernel } from "./kernel.ts";
import { GOOD } from "./link.ts";
import { Network } from "./network.ts";
import { Outlets } from "./outlets.ts";
import { LogWatch } from "./log_watch.ts";
import { Recorder } from "./recorder.ts";
import { type GatewayBackup, type Replaying, restoreGateway } from "./restores.ts";
import { type SharedData, SimServer, writeToken } from "./server.ts";
import { RULES, SCHEMAS } from "./workload.ts";

/** How long after a failure an admin tries again, and an app is started again, in milliseconds. */
const AGAIN_MS = 1_000;

/** A server that has not ended in order by then is killed, in milliseconds. */
const STOP_WITHIN_MS = 15_000;

/** What a run is to be like. */
export interface WorldSettings {
  /** The folder that devices keep their files in. */
  readonly folder: string;
  /** Buckets with so many rows come in chunks. */
  readonly minRows: number;
  /** How long tokens last, in milliseconds. */
  readonly tokenMs: number;
  /** The gateways' ids. */
  readonly gateways: readonly string[];
  /** How many servers there are, 1 unless given; several have one database. */
  readonly servers?: number;
  /** What history the gateways keep; what they keep by default unless given. */
  readonly retention?: Retention;
  /** Days for which devices keep accepted transactions; as many as by default unless given. */
  readonly keepAcceptedDays?: number;
  /** Whether logs are followed and flushed, both of which keep all they see; true unless given. */
  readonly keepsAll?: boolean;
}

/** A world. */
export class World {
  readonly kernel: Kernel;
  readonly random: Random;
  readonly recorder: Recorder;
  readonly network: Network;
  readonly disk: SimDisk = new SimDisk();
  /** The servers; several of them have one database. */
  readonly servers: readonly SimServer[];
  readonly #shared: SharedData | undefined;
  readonly devices: Device[] = [];
  /** Where each gateway flushes to. */
  readonly outlets: ReadonlyMap<string, Outlets>;
  readonly settings: WorldSettings;
  /** The gateway of each device. */
  readonly gatewayOf: Map<Device, string> = new Map();
  /** What the gateways could not tell a caller in detail. */
  readonly errors: string[] = [];
  /** The version of the gateways' schema. */
  version = 1;
  /** The place of their rules. */
  rules = 0;
  /** Whether faults may fire. */
  faulty = true;
  /** Resolves when an admin has nothing left to do. */
  operated: Promise<void> = Promise.resolve();

  /**
   * @param kernel time and chance
   * @param settings what it is to be like
   */
  constructor(kernel: Kernel, settings: WorldSettings) {
    this.kernel = kernel;
    this.random = kernel.random;
    this.settings = settings;
    this.recorder = new Recorder(kernel);
    this.network = new Network(kernel);
    const { gateways, retention, keepsAll = true } = settings;
    this.outlets = new Map(keepsAll ? gateways.map((id) => [id, new Outlets(kernel)]) : []);
    const { minRows, servers = 1 } = settings;
    const { recorder } = this;
    const objects = memoryObjects();
    const watched = keepsAll ? gateways : [];
    const watches = new Map(watched.map((id) => [id, new LogWatch(recorder)]));
    this.#shared = servers === 1 ? undefined : { logs: new Map() };
    this.servers = Array.from({ length: servers }, (_, i) =>
      new SimServer({
        kernel,
        recorder,
        disk: this.disk,
        shared: this.#shared,
        objects,
        watches,
        gateways,
        // The first one flushes.
        outlets: i === 0 ? this.outlets : new Map(),
        minRows,
        ...(retention === undefined ? {} : { retention }),
        onError: (what, error) => this.errors.push(`${what}: ${error}`),
      }));
  }

  /** Any server, as a balancer picks one: one that runs, if any does. */
  get server(): SimServer {
    const [only] = this.servers;
    if (only !== undefined && this.servers.length === 1) return only;
    const running = this.servers.filter(({ process }) => process !== undefined);
    return this.random.pick(running.length > 0 ? running : this.servers);
  }

  /** Puts all servers back to a backup; they are down then. */
  restore(backup: DiskSnapshot): void {
    for (const server of this.servers) server.crash(false);
    this.disk.restore(backup);
    if (this.#shared !== undefined) this.#shared.logs = new Map();
  }

  /**
   * Stops all servers, puts gateways back to backups in new epochs, as `lakesync restore` does, and
   * starts the servers again. When faults are over by then, they are started as they were.
   *
   * @param backups one of each gateway that is put back
   * @param stop how servers end: in order, by a kill, or with the power
   * @param replays whether the logs of the newer data are replayed, up to some moment
   */
  async restoreAnew(
    backups: readonly GatewayBackup[],
    stop: "drain" | "kill" | "power",
    replays = false,
  ): Promise<void> {
    const { servers, kernel, random, recorder } = this;
    for (const server of servers) server.isHeld = true;
    if (stop === "drain") {
      const stopping = servers.filter(({ isReady }) => isReady).map((server) => server.stop());
      await Promise.race([Promise.all(stopping), kernel.sleep(STOP_WITHIN_MS)]);
    }
    for (const server of servers) server.crash(stop === "power");
    if (this.faulty) {
      for (const backup of backups) {
        const epoch = crypto.randomUUID();
        const replaying = replays ? this.#replaying() : undefined;
        const isReplayed = await restoreGateway(this.disk, backup, epoch, replaying);
        if (isReplayed) recorder.add({ kind: "fault", fault: "log was replayed onto a backup" });
        recorder.add({ kind: "restored", gateway: backup.gateway, epoch });
      }
      if (this.#shared !== undefined) this.#shared.logs = new Map();
      await kernel.sleep(random.between(10, 3_000));
    }
    for (const server of servers) {
      server.isHeld = false;
      server.start();
    }
    this.putAgain();
  }

  /** How a log is replayed: up to any commit, or any moment of the last minute. */
  #replaying(): Replaying {
    const { kernel, random } = this;
    const now = () => EPOCH_MS + Math.floor(kernel.nowMs);
    return {
      env: {
        now,
        nextTurn: () => Promise.resolve(),
        setTimer: (ms, callback) => kernel.after(ms, callback),
        randomId: () => crypto.randomUUID(),
        hash: (text) => createHash("sha256").update(text).digest("hex"),
      },
      until: (firstSeq, lastSeq) =>
        random.chance(0.3)
          ? { ms: now() - random.below(60_000) }
          : { seq: random.between(firstSeq, Math.max(firstSeq, lastSeq)) },
    };
  }

  /** Adds a device; its app is not started. */
  addDevice(name: string, user: string, gateway: string): Device {
    const { keepAcceptedDays } = this.settings;
    const device = new Device({
      kernel: this.kernel,
      network: this.network,
      recorder: this.recorder,
      name,
      user,
      gateway,
      host: () => this.server,
      folder: this.settings.folder,
      tokenMs: this.settings.tokenMs,
      ...(keepAcceptedDays === undefined ? {} : { keepAcceptedDays }),
    });
    this.devices.push(device);
    this.gatewayOf.set(device, gateway);
    return device;
  }

  /** Starts a device's app, again and again until it runs. */
  startDevice(device: Device): void {
    if (device.process !== undefined) return;
    // The app is updated while it does not run.
    if (device.version < this.version && this.random.chance(0.5)) device.version = this.version;
    device.start().catch(() => {
      device.crash();
      this.kernel.after(AGAIN_MS, () => this.startDevice(device));
    });
  }

  /** Does one thing of an admin after the other. */
  #operate(work: () => Promise<void>): Promise<void> {
    return this.operated = this.operated.then(work);
  }

  /** Sends an admin's request until it is answered with success. */
  async #put(path: string, body: unknown): Promise<void> {
    const { kernel } = this;
    const token = () =>
      writeToken({
        sub: "admin",
        role: "admin",
        endsMs: EPOCH_MS + kernel.nowMs + 24 * 3_600_000,
        claims: {},
      });
    for (;;) {
      const { server } = this;
      if (server.process !== undefined) {
        const process = server.process;
        const answer = await Promise.race([
          server.handle(
            new Request(`http://gateway/v1/admin/${path}`, {
              method: "PUT",
              headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
              body: JSON.stringify(body),
            }),
          ),
          new Promise<undefined>((resolve) => process.atEnd(() => resolve(undefined))),
          kernel.sleep(60_000),
        ]);
        if (answer?.status === 200) return;
      }
      await kernel.sleep(AGAIN_MS);
    }
  }

  /** Puts a version of the schema. */
  putSchema(version: number): Promise<void> {
    return this.#operate(async () => {
      for (const gateway of this.settings.gateways) {
        await this.#put(`schema/${gateway}`, version === 1 ? SCHEMAS[0] : SCHEMAS[1]);
      }
      this.version = version;
    });
  }

  /** Puts other rules. */
  putRules(place: number): Promise<void> {
    return this.#operate(async () => {
      for (const gateway of this.settings.gateways) {
        await this.#put(`sync-rules/${gateway}`, RULES[place]);
      }
      this.rules = place;
    });
  }

  /** Puts schema and rules again, as one does after going back to a backup. */
  putAgain(): void {
    void this.#operate(async () => {
      for (const gateway of this.settings.gateways) {
        await this.#put(`schema/${gateway}`, this.version === 1 ? SCHEMAS[0] : SCHEMAS[1]);
        await this.#put(`sync-rules/${gateway}`, RULES[this.rules]);
      }
    });
  }

  /** Ends all faults: everything is connected, has room and runs. */
  heal(): void {
    this.faulty = false;
    this.disk.limitBytes = Infinity;
    for (const server of this.servers) {
      server.skewMs = 0;
      server.slowness = 1;
      server.start();
    }
    for (const outlets of this.outlets.values()) outlets.fail(false);
    for (const device of this.devices) {
      device.link.quality = GOOD;
      device.link.block("up", false);
      device.link.block("down", false);
      device.disk.full = false;
      device.tokensFail = false;
      this.startDevice(device);
    }
    for (const connection of this.network.connections.keys()) connection.readOn();
  }
}
