/**
 * The memory of this process: how much there is, how much it may have, and giving back what is free.
 *
 * @module
 */

import { constrainedMemory } from "node:process";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openLibc } from "./libc.ts";
import { MemoryPressure } from "./memory_pressure.ts";

/** The share of what the machine or container has that is the limit unless one is set. */
const SHARE = 0.8;

/**
 * How much memory there is for this process, in bytes: the container's, else the machine's, else,
 * where that may not be asked, what V8 was given by it.
 */
export function memoryOfMachine(): number {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  if (state !== "granted") return getHeapStatistics().heap_size_limit;
  const { total } = Deno.systemMemoryInfo();
  const contained = constrainedMemory();
  return contained > 0 ? Math.min(total, contained) : total;
}

let gc: (() => void) | undefined;

function collectGarbage(): void {
  if (gc === undefined) {
    setFlagsFromString("--expose-gc");
    const exposed: unknown = runInNewContext("gc");
    gc = typeof exposed === "function" ? () => void exposed() : () => {};
  }
  gc();
}

/** Gives back to the system what the allocator keeps, where it can be told to. */
function trim(): void {
  const library = openLibc({ malloc_trim: { parameters: ["usize"], result: "i32" } });
  library?.symbols.malloc_trim(0n);
  library?.close();
}

/**
 * Watches the memory of this process.
 *
 * @param maxMemoryBytes what it may have, in bytes; 0 for a share of what there is
 */
export function memoryPressure(maxMemoryBytes: number): MemoryPressure {
  return new MemoryPressure({
    maxBytes: Math.floor(maxMemoryBytes > 0 ? maxMemoryBytes : memoryOfMachine() * SHARE),
    maxHeapBytes: getHeapStatistics().heap_size_limit,
    now: () => performance.now(),
    read: () => {
      const { rss, heapUsed } = Deno.memoryUsage();
      return { rssBytes: rss, heapBytes: heapUsed };
    },
    collect: () => {
      collectGarbage();
      trim();
    },
  });
}
