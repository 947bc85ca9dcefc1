/**
 * All benchmarks, or those named: `deno task bench [push] [pull] [latency] [client] [step] [bootstrap] [rules] [flush] [lake-flush] [lake-parquet] [lake-query] [lake-day] [sizes]`.
 *
 * @module
 */

import { benchClient } from "./apply.ts";
import { benchBootstrap } from "./bootstrap.ts";
import { benchClientStep } from "./client_step.ts";
import { benchFlush } from "./flush.ts";
import { benchFlushMysql } from "./flush_mysql.ts";
import { benchLakeDay } from "./lake_day.ts";
import { benchLakeFlush } from "./lake_flush.ts";
import { benchLakeParquet } from "./lake_parquet.ts";
import { benchLakeQuery } from "./lake_query.ts";
import { benchLatency } from "./latency.ts";
import { benchPull } from "./pull.ts";
import { benchPush } from "./push.ts";
import { benchRules } from "./rules.ts";
import { benchSizes } from "./sizes.ts";
import { machine } from "./support.ts";

const BENCHMARKS: Readonly<Record<string, () => Promise<void>>> = {
  push: benchPush,
  pull: benchPull,
  latency: benchLatency,
  client: benchClient,
  step: benchClientStep,
  bootstrap: benchBootstrap,
  rules: benchRules,
  flush: async () => {
    await benchFlush();
    await benchFlushMysql();
  },
  "lake-flush": benchLakeFlush,
  "lake-parquet": benchLakeParquet,
  "lake-query": benchLakeQuery,
  "lake-day": benchLakeDay,
  sizes: benchSizes,
};

const names = Deno.args.length > 0 ? Deno.args : Object.keys(BENCHMARKS);
console.log(machine());
console.log("Figures are medians (minimum–maximum).");
for (const name of names) {
  const run = BENCHMARKS[name];
  if (run === undefined) {
    console.error(`No benchmark ${name}, there are ${Object.keys(BENCHMARKS).join(", ")}`);
    Deno.exit(2);
  }
  await run();
}
