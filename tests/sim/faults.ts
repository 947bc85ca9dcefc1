/**
 * What goes wrong in a run. Each fault begins by itself and, where it lasts, ends by itself; whatever
 * still lasts when faults are over is ended by `World.heal`.
 *
 * @module
 */

import type { Device } from "./device.ts";
import type { DiskSnapshot } from "./disk.ts";
import type { TxName } from "./history.ts";
import { GOOD } from "./link.ts";
import type { GatewayBackup } from "./restores.ts";
import type { SimServer } from "./server.ts";
import type { World } from "./world.ts";

/** A fault; what it did not find reason to do it says by `false`. */
type Fault = (world: World, backups: Backups) => boolean;

const HOUR_MS = 3_600_000;

/** Copies that were made before, to go back to. */
export interface Backups {
  readonly server: DiskSnapshot[];
  readonly devices: Map<Device, DeviceCopy>;
  /** Of each gateway, the oldest first. */
  readonly gateways: Map<string, GatewayBackup[]>;
  /** Those that were restored last. */
  restored: readonly GatewayBackup[];
}

/** The fault that brings backups back in new epochs. */
export const RESTORE = "server is restored in a new epoch";

/** The fault that also replays the log of the newer data onto them, up to some moment. */
export const RESTORE_TO = "server is restored to a time";

/** A copy of a device's database. */
export interface DeviceCopy {
  /** Where it is. */
  readonly path: string;
  /** The device's own transactions that it holds. */
  readonly committed: ReadonlySet<TxName>;
}

function anyDevice(world: World): Device {
  return world.random.pick(world.devices);
}

/** Ends something after a while, if faults are not over by then. */
function lasts(world: World, leastMs: number, mostMs: number, end: () => void): void {
  world.kernel.after(world.random.between(leastMs, mostMs), () => {
    if (world.faulty) end();
  });
}

function serverDown(world: World, server: SimServer, power: boolean): void {
  server.crash(power);
  world.kernel.after(world.random.between(10, 8_000), () => server.start());
}

function deviceDown(world: World, device: Device): void {
  device.crash();
  world.kernel.after(world.random.between(10, 8_000), () => world.startDevice(device));
}

function degrade(world: World, quality: Partial<typeof GOOD>): boolean {
  const devices = world.random.chance(0.3) ? world.devices : [anyDevice(world)];
  for (const device of devices) device.link.quality = { ...GOOD, ...quality };
  lasts(world, 5_000, 40_000, () => {
    for (const device of devices) device.link.quality = GOOD;
  });
  return true;
}

function block(world: World, directions: readonly ("up" | "down")[]): boolean {
  const devices = world.random.chance(0.3) ? world.devices : [anyDevice(world)];
  const set = (blocked: boolean) => {
    for (const device of devices) {
      for (const direction of directions) device.link.block(direction, blocked);
    }
  };
  set(true);
  lasts(world, 1_000, 90_000, () => set(false));
  return true;
}

/** Replaces a device's database while its app does not run. */
function replace(world: World, device: Device, copy: DeviceCopy | undefined): void {
  device.crash();
  const path = copy?.path;
  const own = `${device.name}.`;
  const txs = device.unsettled().filter((tx) =>
    copy === undefined || (tx.startsWith(own) && !copy.committed.has(tx))
  );
  world.recorder.add({ kind: "forgot", device: device.name, txs });
  device.replaceBy(path);
  world.kernel.after(world.random.between(10, 5_000), () => world.startDevice(device));
}

/** Goes back to backups of one or all gateways, now and then to those that were restored last. */
function restores(world: World, backups: Backups, replays: boolean): boolean {
  const { random, servers } = world;
  // No log is replayed onto a backup of a database that several servers have.
  if (servers.some(({ isHeld }) => isHeld) || replays && servers.length > 1) return false;
  const isAgain = backups.restored.length > 0 && random.chance(0.3);
  const all = [...backups.gateways.values()];
  const picked = random.chance(0.7) ? all : random.some(all, 0.5, 1);
  const chosen = isAgain ? backups.restored : picked.map((copies) => random.pick(copies));
  if (chosen.length === 0) return false;
  backups.restored = chosen;
  void world.restoreAnew(chosen, random.pick(["drain", "kill", "power"]), replays);
  return true;
}

/** All faults by name. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  "server loses power": (world) => {
    const { server } = world;
    if (server.process === undefined) return false;
    serverDown(world, server, true);
    return true;
  },
  "server is killed": (world) => {
    const { server } = world;
    if (server.process === undefined) return false;
    serverDown(world, server, false);
    return true;
  },
  "server dies between two steps": (world) => {
    const { server } = world;
    const { process } = server;
    if (process === undefined) return false;
    const power = world.random.chance(0.5);
    process.burnAfter(world.random.below(300), () => {
      if (!world.faulty) return;
      world.recorder.add({ kind: "fault", fault: "server died between two steps" });
      serverDown(world, server, power);
    });
    return true;
  },
  "server restarts in order": (world) => {
    const { server, kernel, random } = world;
    const { process } = server;
    if (process === undefined) return false;
    void server.stop().then(() => kernel.after(random.below(3_000), () => server.start()));
    // One that does not end in time is killed.
    kernel.after(15_000, () => {
      if (server.process === process) serverDown(world, server, false);
    });
    return true;
  },
  "server goes back to a backup": (world, { server: copies }) => {
    if (copies.length === 0 || world.servers.some(({ isHeld }) => isHeld)) return false;
    const { servers, settings, recorder } = world;
    world.restore(world.random.pick(copies));
    for (const gateway of settings.gateways) recorder.add({ kind: "restored", gateway });
    world.kernel.after(world.random.between(10, 3_000), () => {
      for (const server of servers) server.start();
      world.putAgain();
    });
    return true;
  },
  [RESTORE]: (world, backups) => restores(world, backups, false),
  [RESTORE_TO]: (world, backups) => restores(world, backups, true),
  "server's disk is full": (world) => {
    const { disk, random } = world;
    disk.limitBytes = disk.usedBytes + random.below(2_000);
    lasts(world, 1_000, 20_000, () => disk.limitBytes = Infinity);
    return true;
  },
  "server's disk is slow": (world) => {
    const { server } = world;
    server.slowness = world.random.between(5, 100);
    lasts(world, 5_000, 30_000, () => server.slowness = 1);
    return true;
  },
  "destinations fail": (world) => {
    const outlets = world.random.pick([...world.outlets.values()]);
    outlets.fail(true);
    lasts(world, 2_000, 40_000, () => outlets.fail(false));
    return true;
  },
  "server's clock jumps": (world) => {
    const { server, random } = world;
    server.skewMs = random.between(-3 * HOUR_MS, 3 * HOUR_MS);
    lasts(world, 5_000, 60_000, () => server.skewMs = 0);
    return true;
  },
  "client is killed": (world) => {
    const device = anyDevice(world);
    if (device.process === undefined) return false;
    deviceDown(world, device);
    return true;
  },
  "client dies between two steps": (world) => {
    const device = anyDevice(world);
    const { process } = device;
    if (process === undefined) return false;
    process.burnAfter(world.random.below(600), () => {
      if (!world.faulty) return;
      world.recorder.add({ kind: "fault", fault: "client died between two steps" });
      deviceDown(world, device);
    });
    return true;
  },
  "client restarts in order": (world) => {
    const device = anyDevice(world);
    const { process } = device;
    if (process === undefined || device.client === undefined) return false;
    void device.stop().then(() => world.startDevice(device), () => {});
    world.kernel.after(20_000, () => {
      if (device.process === process && !process.alive) deviceDown(world, device);
    });
    return true;
  },
  "client is installed anew": (world) => {
    replace(world, anyDevice(world), undefined);
    return true;
  },
  "client goes back to a copy": (world, { devices }) => {
    const device = anyDevice(world);
    const copy = devices.get(device);
    if (copy === undefined) return false;
    replace(world, device, copy);
    return true;
  },
  "client's database is copied to another device": (world) => {
    const device = anyDevice(world);
    if (device.process === undefined || world.devices.length >= 7) return false;
    const gateway = world.gatewayOf.get(device) ?? "";
    const copy = world.addDevice(`${device.name}x${world.devices.length}`, device.user, gateway);
    copy.version = device.version;
    copy.inherit(device);
    world.startDevice(copy);
    return true;
  },
  "client's disk is full": (world) => {
    const device = anyDevice(world);
    device.disk.full = true;
    lasts(world, 500, 20_000, () => device.disk.full = false);
    return true;
  },
  "client's clock jumps": (world) => {
    anyDevice(world).skewMs = world.random.between(-3 * HOUR_MS, 3 * HOUR_MS);
    return true;
  },
  "client reads slowly": (world) => {
    const device = anyDevice(world);
    const found = [...world.network.connections].filter(([, link]) => link === device.link);
    if (found.length === 0) return false;
    for (const [connection] of found) connection.paused = true;
    lasts(world, 1_000, 60_000, () => {
      for (const [connection] of found) connection.readOn();
    });
    return true;
  },
  "partition": (world) => block(world, ["up", "down"]),
  "nothing goes up": (world) => block(world, ["up"]),
  "nothing comes down": (world) => block(world, ["down"]),
  "packets are lost": (world) => degrade(world, { loss: world.random.between(5, 40) / 100 }),
  "connections break": (world) => degrade(world, { breaks: world.random.between(5, 40) / 100 }),
  "requests are doubled": (world) => degrade(world, { doubles: 0.5, jitterMs: 3_000 }),
  "sockets go silent": (world) => {
    const connections = [...world.network.connections.keys()];
    if (connections.length === 0) return false;
    for (const connection of world.random.some(connections, 0.5, 1)) connection.vanish();
    return true;
  },
  "no tokens are given": (world) => {
    const device = anyDevice(world);
    device.tokensFail = true;
    lasts(world, 5_000, 90_000, () => device.tokensFail = false);
    return true;
  },
  "rules are edited": (world) => {
    void world.putRules((world.rules + 1) % 3);
    return true;
  },
  "schema is widened": (world) => {
    if (world.version > 1) return false;
    void world.putSchema(2);
    return true;
  },
};

/** Lets a fault fire. */
export function fire(world: World, backups: Backups, name: string): void {
  const done = FAULTS[name]?.(world, backups) ?? false;
  if (done && !name.endsWith("between two steps")) {
    world.recorder.add({ kind: "fault", fault: name });
  }
}
