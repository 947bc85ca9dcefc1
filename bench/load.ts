/**
 * The gateway under load: `deno task bench:load`. Clients commit by a schedule, whatever became of
 * their earlier commits, and every time counts from the instant at which a commit was due, so that
 * a stall counts for all that it keeps waiting. The gateway is a process of its own on one core,
 * this script is on the other.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { bindSelf, canBind } from "./load_gateway.ts";
import { runIdempotency } from "./load_idempotency.ts";
import { printIdempotency, printLoad, printSigterm, printTrial } from "./load_report.ts";
import { type LoadPlan, runLoad } from "./load_run.ts";
import { searchRate } from "./load_search.ts";
import { runSigterm } from "./load_sigterm.ts";
import { machine } from "./support.ts";

const GATEWAY_CORE = 0;
const SCRIPT_CORE = 1;

const USAGE = `deno task bench:load [parts] [--seconds 60] [--http-apart]
parts, all unless some are named:
  --load         1,000 live clients in 100 buckets of 10, each commits once in 5 s, and 200 clients
                 that push over HTTP once a second, for --seconds
  --sockets      2,000 live clients in 200 buckets of 10, each once in 5 s, for half of it
  --wide         1,000 live clients in one bucket, 2 commits/s, and 50 that push over HTTP what nobody
                 reads, for 15 s: what one commit for all keeps waiting
  --search       the highest rate of 1,000 live clients that is sustained
  --sigterm      SIGTERM in the middle of the first load
  --idempotency  2,000 pushes with 400 keys, 75 at once
--http-apart     what comes over HTTP goes into buckets that no live client reads`;

const PARTS = ["load", "sockets", "wide", "search", "sigterm", "idempotency"] as const;

function readFlags(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        load: { type: "boolean" },
        sockets: { type: "boolean" },
        wide: { type: "boolean" },
        search: { type: "boolean" },
        sigterm: { type: "boolean" },
        idempotency: { type: "boolean" },
        seconds: { type: "string", default: "60" },
        "http-apart": { type: "boolean", default: false },
      },
    });
    return Number(values.seconds) > 0 ? values : undefined;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

async function main(args: string[]): Promise<number> {
  const values = readFlags(args);
  if (values === undefined) {
    console.error(USAGE);
    return 2;
  }
  const named = PARTS.filter((part) => values[part] === true);
  const parts = new Set(named.length > 0 ? named : PARTS);
  const bound = await canBind();
  if (bound) await bindSelf(SCRIPT_CORE);
  console.log(machine());
  console.log(
    bound
      ? "The gateway has one core, this script the other."
      : "Processes cannot be bound to cores here.",
  );
  const load = Deno.loadavg().map((n) => n.toFixed(2)).join(", ");
  console.log(`Load of the machine before: ${load}`);

  const plan: LoadPlan = {
    ...(bound ? { core: GATEWAY_CORE } : {}),
    live: 1_000,
    teams: 100,
    liveIntervalMs: 5_000,
    http: 200,
    httpIntervalMs: 1_000,
    httpApart: values["http-apart"],
    warmUpMs: 5_000,
    measureMs: Number(values.seconds) * 1_000,
  };
  if (parts.has("load")) {
    printLoad("1,000 live clients and 200 over HTTP", plan, await runLoad(plan));
  }
  if (parts.has("sockets")) {
    const more = { ...plan, live: 2_000, teams: 200, http: 0, measureMs: plan.measureMs / 2 };
    printLoad("2,000 live clients", more, await runLoad(more));
  }
  if (parts.has("wide")) {
    const measureMs = Math.min(plan.measureMs, 15_000);
    const few = { liveIntervalMs: 500_000, http: 50, httpApart: true, measureMs };
    const wide = { ...plan, ...few, teams: 1 };
    printLoad("1,000 live clients in one bucket", wide, await runLoad(wide));
  }
  if (parts.has("search")) {
    console.log("\nHighest rate of 1,000 live clients that is sustained");
    const brief = { ...plan, http: 0, warmUpMs: 3_000, measureMs: 10_000 };
    const best = await searchRate(brief, 400, 4, printTrial);
    console.log(`sustained: ${best} commits/s, each seen by 9 others`);
  }
  if (parts.has("sigterm")) {
    printSigterm(await runSigterm({ ...plan, measureMs: Math.min(plan.measureMs, 10_000) }));
  }
  if (parts.has("idempotency")) {
    printIdempotency(await runIdempotency(400, 75, plan.core));
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
