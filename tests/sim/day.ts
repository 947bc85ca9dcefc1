/**
 * A day of many devices in virtual time, and what it leaves: memory, log and databases are to stay
 * as they are, and only keys that were deleted add up.
 *
 * `deno task sim:day`, with `--hours 24 --devices 50 --seed 1` unless given.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { runDay } from "./day_run.ts";
import { lineOf, titles } from "./day_table.ts";
import { judgeDay } from "./day_verdict.ts";
import { makeFolder } from "./folder.ts";

function wholeNumber(text: string, name: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  console.error(`--${name} takes a whole number`);
  Deno.exit(2);
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
    console.log(titles());
    const result = await runDay({
      seed: wholeNumber(values.seed, "seed"),
      hours: wholeNumber(values.hours, "hours"),
      devices: wholeNumber(values.devices, "devices"),
      folder,
      onHour: (hour) => console.log(lineOf(hour)),
    });
    const findings = judgeDay(result);
    for (const { what, holds, says } of findings) {
      console.log(`${holds ? "ok  " : "BAD "} ${what}: ${says}`);
    }
    for (const { hour, differs } of result.hours) {
      if (differs !== undefined) console.log(`hour ${hour}: ${differs}`);
    }
    for (const error of result.errors) console.log(error);
    Deno.exitCode = findings.every(({ holds }) => holds) ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
