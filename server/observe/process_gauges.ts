/**
 * The process by the names that Prometheus' own libraries use.
 *
 * @module
 */

import process from "node:process";
import type { MetricSet } from "./metric_set.ts";

const MICROSECONDS = 1e6;

/** How many file descriptors are open; undefined where the process may not look. */
function openFiles(): number | undefined {
  try {
    let open = 0;
    for (const _ of Deno.readDirSync("/proc/self/fd")) open++;
    return open;
  } catch {
    return undefined;
  }
}

/**
 * Sets the gauges of the process.
 *
 * @param set the metrics
 */
export function setProcessGauges(set: MetricSet): void {
  const { rss, heapUsed } = Deno.memoryUsage();
  const { user, system } = process.cpuUsage();
  set.setCount("process_cpu_seconds_total", (user + system) / MICROSECONDS);
  set.setGauge("process_resident_memory_bytes", rss);
  set.setGauge("process_heap_bytes", heapUsed);
  set.setGauge("process_start_time_seconds", performance.timeOrigin / 1000);
  const open = openFiles();
  if (open === undefined) set.leaveOut("process_open_fds");
  else set.setGauge("process_open_fds", open);
}
