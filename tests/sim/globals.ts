/**
 * The runtime's clock, timers and chance, played by a kernel. The gateway's domain and the sync loop
 * take theirs through ports; what lies around them (HTTP, live connections, slicing of long work)
 * uses the runtime's, and must replay as well.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";

/** When runs begin, in milliseconds since 1970. */
export const EPOCH_MS: number = Date.UTC(2026, 0, 1);

let kernel: Kernel | undefined;
let timers = new Map<number, () => void>();
let nextTimer = 1;
/** Work takes time, so that what gives way after a while does so now and then. */
let workMs = 0;

function running(): Kernel {
  if (kernel === undefined) throw new Error("No run is under way");
  return kernel;
}

function start(callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number {
  const id = nextTimer++;
  timers.set(
    id,
    running().after(ms, () => {
      timers.delete(id);
      callback(...args);
    }),
  );
  return id;
}

function stop(id: unknown): void {
  if (typeof id !== "number") return;
  timers.get(id)?.();
  timers.delete(id);
}

function uuid(): string {
  const { random } = running();
  const digits = Array.from({ length: 32 }, () => random.below(16).toString(16)).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function fill<T>(array: T): T {
  const { random } = running();
  if (array instanceof Uint8Array) {
    for (let i = 0; i < array.length; i++) array[i] = random.below(256);
  }
  return array;
}

const VIRTUAL: Readonly<Record<string, unknown>> = {
  setTimeout: start,
  clearTimeout: stop,
  setInterval: () => {
    throw new Error("Nothing that is simulated may use setInterval");
  },
  setImmediate: (callback: () => void) => start(callback),
};

const REAL = {
  now: Date.now,
  performanceNow: performance.now.bind(performance),
  random: Math.random,
  uuid: crypto.randomUUID.bind(crypto),
  fill: crypto.getRandomValues.bind(crypto),
  names: Object.fromEntries(
    Object.keys(VIRTUAL).map((name) => [name, Reflect.get(globalThis, name)]),
  ),
};

/** The runtime's own clock, in milliseconds; how long a run really takes. */
export function realNowMs(): number {
  return REAL.performanceNow();
}

/** Puts a kernel's time and chance in place of the runtime's. */
export function playedBy(by: Kernel): void {
  kernel = by;
  timers = new Map();
  nextTimer = 1;
  workMs = 0;
  for (const [name, value] of Object.entries(VIRTUAL)) Reflect.set(globalThis, name, value);
  Date.now = () => EPOCH_MS + running().nowMs;
  performance.now = () => {
    workMs += running().random.below(64) === 0 ? 10 : 0;
    return running().nowMs + workMs;
  };
  Math.random = () => running().random.below(2 ** 32) / 2 ** 32;
  crypto.randomUUID = uuid as typeof crypto.randomUUID;
  crypto.getRandomValues = fill as typeof crypto.getRandomValues;
}

/** Puts the runtime's own back. */
export function playedByNobody(): void {
  kernel = undefined;
  for (const [name, value] of Object.entries(REAL.names)) Reflect.set(globalThis, name, value);
  Date.now = REAL.now;
  performance.now = REAL.performanceNow;
  Math.random = REAL.random;
  crypto.randomUUID = REAL.uuid;
  crypto.getRandomValues = REAL.fill as typeof crypto.getRandomValues;
}
