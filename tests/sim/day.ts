/**
 * A day of many devices in virtual time, and what it leaves: memory, log and databases are to stay
 * as they are, and only keys that were deleted add up.
 *
 * `deno task sim:day`, with `--hours 24 --devices 50 --seed 1` unless given.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type HourEnd, runDay } from "./day_run.ts";
import { makeFolder } from "./folder.ts";

function showHour(hour: HourEnd): void {
  const { server, devices, ...rest } = hour;
  const sum = (of: (device: typeof devices[number]) => number) =>
    devices.reduce((all, device) => all + of(device), 0);
  const sidecars: Record<string, number> = {};
  for (const device of devices) {
    for (const [name, n] of Object.entries(device.sidecars)) {
      sidecars[name] = (sidecars[name] ?? 0) + n;
    }
  }
  console.log(JSON.stringify({
    ...rest,
    server: { ...server, deleted: undefined },
    bytes: sum((d) => d.bytes),
    free: sum((d) => d.freeBytes),
    wal: sum((d) => d.walBytes),
    visible: sum((d) => d.visible),
    sidecars,
  }));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      hours: { type: "string", default: "24" },
      devices: { type: "string", default: "50" },
    },
  });
  const folder = makeFolder();
  try {
    const { errors } = await runDay({
      seed: Number(values.seed),
      hours: Number(values.hours),
      devices: Number(values.devices),
      folder,
      onHour: showHour,
    });
    for (const error of errors) console.log(error);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
