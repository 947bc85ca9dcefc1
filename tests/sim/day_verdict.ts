/**
 * Judges a simulated day: what must stay flat does, what may grow grows by what it stands for.
 *
 * @module
 */

import type { DeviceSize } from "./day_measure.ts";
import type { DayResult, HourEnd } from "./day_hour.ts";

/** From this hour on everything that is kept for an hour has been dropped for the first time. */
const SETTLED_HOUR = 2;

/** The pages of links that a gateway keeps of each client. */
const MAX_LINK_PAGES = 128;

/** SQLite moves a WAL of 1,000 pages into the database; one transaction may go beyond. */
const MAX_WAL_BYTES = 5_000_000;

/** Of a value over the settled hours: what it is, and how much of that it grows in all of them. */
export interface Trend {
  readonly mean: number;
  /** The growth along the line of least squares, as a part of the mean. */
  readonly growth: number;
  /** How far hours lie from that line, by the root of the mean square, as a part of the mean. */
  readonly noise: number;
}

/**
 * Fits a line.
 *
 * @param values one for each hour
 */
export function trendOf(values: readonly number[]): Trend {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const middle = (n - 1) / 2;
  const spread = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  const slope = spread === 0
    ? 0
    : values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0) / spread;
  const squares = values.map((value, i) => (value - mean - slope * (i - middle)) ** 2);
  const error = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / n);
  const part = mean === 0 ? 0 : 1 / Math.abs(mean);
  return { mean, growth: slope * (n - 1) * part, noise: error * part };
}

/** What a verdict says of one thing. */
export interface Finding {
  readonly what: string;
  readonly holds: boolean;
  readonly says: string;
}

/** Adds something up over devices. */
export function sumOf(
  devices: readonly DeviceSize[],
  of: (device: DeviceSize) => number,
): number {
  return devices.reduce((sum, device) => sum + of(device), 0);
}

/** Rows of sidecar tables on a device that a test looks at. */
export function sidecarRows(device: DeviceSize, ...tables: readonly string[]): number {
  return tables.reduce((sum, table) => sum + (device.sidecars[`_lakesync_${table}`] ?? 0), 0);
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

function flat(
  hours: readonly HourEnd[],
  what: string,
  atMost: number,
  of: (hour: HourEnd) => number,
): Finding {
  const { mean, growth, noise } = trendOf(hours.map(of));
  const says = `${mean < 100 ? mean.toFixed(2) : Math.round(mean)} on average, grows by ${
    percent(growth)
  }, noise ${percent(noise)}`;
  return { what, holds: growth <= Math.max(atMost, 2 * noise) && growth <= 3 * atMost, says };
}

function each(
  hours: readonly HourEnd[],
  what: string,
  says: string,
  holds: (hour: HourEnd) => boolean,
): Finding {
  const wrong = hours.filter((hour) => !holds(hour)).map(({ hour }) => hour);
  return {
    what,
    holds: wrong.length === 0,
    says: wrong.length === 0 ? says : `not in hours ${wrong.join(", ")}`,
  };
}

/** What may be at most on one device for each row that it shows. */
function deviceBytes({ devices }: HourEnd): number {
  return sumOf(devices, ({ bytes, freeBytes }) => bytes - freeBytes) /
    sumOf(devices, ({ visible }) => visible);
}

/**
 * Judges a day.
 *
 * @param result what came of it
 * @returns what was found, good or not
 */
export function judgeDay({ hours, errors }: DayResult): readonly Finding[] {
  const settled = hours.filter(({ hour }) => hour >= SETTLED_HOUR);
  const last = hours.at(-1);
  const written = ({ hour, transactions }: HourEnd) =>
    transactions - (hours.find((before) => before.hour === hour - 1)?.transactions ?? 0);
  const tombstone = last === undefined
    ? 0
    : last.server.tombstones.bytes / Math.max(1, last.server.tombstones.count);
  return [
    each(hours, "all agree", "every hour, on what was written", ({ differs }) => !differs),
    { what: "nothing fails", holds: errors.length === 0, says: errors[0] ?? "nothing did" },
    flat(
      settled,
      "percent of the hour's writes in the log",
      0.05,
      (hour) => 100 * hour.server.log.count / written(hour),
    ),
    flat(
      settled,
      "log bytes for each write of the hour",
      0.05,
      (hour) => hour.server.log.bytes / written(hour),
    ),
    flat(
      settled.filter(({ restarted }) => !restarted),
      "heap without the stored data",
      0.05,
      ({ heapBytes }) => heapBytes,
    ),
    flat(settled, "visible rows", 0.05, ({ server }) => server.visible.count),
    flat(
      settled,
      "bytes of a visible row",
      0.05,
      ({ server: { visible } }) => visible.bytes / visible.count,
    ),
    flat(settled, "records of clients", 0.05, ({ server }) => server.clients.bytes),
    flat(settled, "records of buckets", 0.05, ({ server }) => server.buckets.bytes),
    flat(settled, "other records", 0.05, ({ server }) => server.meta.bytes),
    each(
      hours,
      "tombstones are the keys that are deleted",
      `every hour, at last ${last?.deletedKeys} of ${last?.deletions} deletions, ` +
        `${tombstone.toFixed(0)} bytes each`,
      ({ server, deletedKeys, wrongTombstones }) =>
        wrongTombstones === 0 && server.tombstones.count === deletedKeys,
    ),
    flat(
      settled,
      "bytes of a tombstone",
      0.1,
      ({ server: { tombstones } }) => tombstones.bytes / tombstones.count,
    ),
    flat(
      settled,
      "index entries of a row, deleted or not",
      0.05,
      ({ server }) => server.entries / (server.visible.count + server.tombstones.count),
    ),
    each(
      hours,
      "refusals, orphans, answers and parts go",
      "every hour",
      ({ server }) => server.refusals + server.orphans.count + server.others === 0,
    ),
    each(
      hours,
      "links stay in their rings",
      `at last ${last?.server.links.count}, ${last?.server.links.bytes} bytes`,
      ({ server, devices }) => server.links.count <= MAX_LINK_PAGES * devices.length,
    ),
    flat(settled, "device bytes for each visible row", 0.05, deviceBytes),
    each(
      hours,
      "logs of devices are short",
      "every hour",
      ({ devices }) => devices.every(({ walBytes }) => walBytes <= MAX_WAL_BYTES),
    ),
    flat(
      settled,
      "outbox rows of devices for each write of the hour",
      0.05,
      (hour) =>
        sumOf(hour.devices, (device) => sidecarRows(device, "outbox", "tx")) / written(hour),
    ),
    each(
      hours,
      "base and pages of devices are empty once they agree",
      "every hour",
      ({ devices }) =>
        sumOf(devices, (device) => sidecarRows(device, "base", "page", "chunk", "stream")) === 0,
    ),
    each(
      hours,
      "dead letters go when they are dismissed",
      "less than one a device at a time",
      ({ devices }) => sumOf(devices, (device) => sidecarRows(device, "dead")) <= devices.length,
    ),
    each(
      hours,
      "scopes of devices are of visible rows",
      "every hour",
      ({ devices }) => devices.every((device) => sidecarRows(device, "scope") <= device.visible),
    ),
  ];
}
