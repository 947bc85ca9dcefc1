/**
 * A simulated day as a table, an hour a line.
 *
 * @module
 */

import type { HourEnd } from "./day_hour.ts";
import { sidecarRows, sumOf } from "./day_verdict.ts";

/** The columns, and what they show of an hour. */
const COLUMNS: readonly (readonly [title: string, of: (hour: HourEnd) => string | number])[] = [
  ["hour", ({ hour }) => hour],
  ["writes", ({ transactions }) => transactions],
  ["refused", ({ refused }) => refused],
  ["log", ({ server }) => server.log.count],
  ["log kB", ({ server }) => kilo(server.log.bytes)],
  ["rows", ({ server }) => server.visible.count],
  ["row B", ({ server }) => per(server.visible)],
  ["deletions", ({ deletions }) => deletions],
  ["tombs", ({ server }) => server.tombstones.count],
  ["tomb B", ({ server }) => per(server.tombstones)],
  ["index", ({ server }) => server.entries],
  ["clients kB", ({ server }) => kilo(server.clients.bytes)],
  ["links kB", ({ server }) => kilo(server.links.bytes)],
  ["meta B", ({ server }) => server.meta.bytes + server.buckets.bytes],
  ["disk kB", ({ server }) => kilo(server.fileBytes)],
  ["store MB", ({ server }) => mega(server.heapBytes)],
  ["heap MB", ({ heapBytes }) => mega(heapBytes)],
  ["rss MB", ({ rssBytes }) => kilo(rssBytes / 1e3)],
  ["dev kB", ({ devices }) => kilo(sumOf(devices, ({ bytes }) => bytes) / devices.length)],
  ["dev rows", ({ devices }) => Math.round(sumOf(devices, (d) => d.visible) / devices.length)],
  ["outbox", ({ devices }) => sumOf(devices, (device) => sidecarRows(device, "outbox"))],
  ["tx", ({ devices }) => sumOf(devices, (device) => sidecarRows(device, "tx"))],
  ["dead", ({ devices }) => sumOf(devices, (device) => sidecarRows(device, "dead"))],
  ["agreed s", ({ agreedMs }) => Math.round(agreedMs / 1_000)],
  ["real s", ({ realMs }) => Math.round(realMs / 1_000)],
];

function kilo(bytes: number): string {
  return (bytes / 1e3).toFixed(0);
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function per({ count, bytes }: { readonly count: number; readonly bytes: number }): string {
  return (bytes / Math.max(1, count)).toFixed(0);
}

function line(cells: readonly (string | number)[]): string {
  return cells.map((cell, i) => String(cell).padStart(Math.max(6, COLUMNS[i]?.[0].length ?? 0)))
    .join("  ");
}

/** The titles of the columns. */
export function titles(): string {
  return line(COLUMNS.map(([title]) => title));
}

/** The line of an hour. */
export function lineOf(hour: HourEnd): string {
  return line(COLUMNS.map(([, of]) => of(hour)));
}
