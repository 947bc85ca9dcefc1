/**
 * Prints what the load script measured beside what is asked for.
 *
 * @module
 */

import type { ProcessSeen } from "./load_gateway.ts";
import type { IdempotencyResult } from "./load_idempotency.ts";
import type { LoadPlan, LoadResult } from "./load_run.ts";
import type { Trial } from "./load_search.ts";
import type { SigtermResult } from "./load_sigterm.ts";
import type { Quantiles } from "./load_tally.ts";

/** A row of a table: what, as measured, as asked for, and whether that is met. */
type Line = readonly [what: string, measured: string, asked?: string, met?: boolean];

const count = (n: number) => n.toLocaleString("en-US");
const ms = (n: number) => `${n.toFixed(1)} ms`;
const mb = (n: number) => `${n.toFixed(0)} MB`;
const times = ({ p50, p95, p99, max }: Quantiles) =>
  `p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}, max ${ms(max)}`;

function print(title: string, lines: readonly Line[]): void {
  console.log(`\n${title}`);
  const width = Math.max(...lines.map(([what]) => what.length));
  for (const [what, measured, asked, met] of lines) {
    const aim = asked === undefined ? "" : `; asked ${asked}${met === true ? "" : ", MISSED"}`;
    console.log(`  ${what.padEnd(width)}  ${measured}${aim}`);
  }
}

function failuresOf(failures: ReadonlyMap<string, number>): string {
  return [...failures].map(([what, times]) => `${times} × ${what}`).join("; ");
}

/** Memory is taken for flat when its peak in the second half is at most so many of the first's. */
const FLAT = 1.1;
/** Shorter runs end before the heap has been collected often enough to tell. */
const FLAT_FROM_MS = 45_000;

function memoryOf({ measureMs }: LoadPlan, gateway: ProcessSeen): Line {
  const { rssStart, rssEnd, rssSlope, rssPeaks: [first, second] } = gateway;
  const measured =
    `${mb(rssStart)} to ${mb(rssEnd)}, peaks ${mb(first)} and ${mb(second)} in the first and ` +
    `second half, there ${rssSlope.toFixed(1)} MB a minute`;
  const line = ["resident memory", measured] as const;
  return measureMs < FLAT_FROM_MS ? line : [...line, "flat", second <= FLAT * first];
}

/** Prints a run. */
export function printLoad(title: string, plan: LoadPlan, result: LoadResult): void {
  const { ws, http, lag, gateway, failures } = result;
  const wrong = result.unanswered + result.unseen;
  const rate = plan.live / plan.liveIntervalMs + plan.http / plan.httpIntervalMs;
  const apart = plan.http > 0 && plan.httpApart ? ", those over HTTP read by nobody" : "";
  const { delay } = gateway;
  const lines: Line[] = [
    ["load", `${count(rate * 1_000)} commits/s for ${plan.measureMs / 1_000} s${apart}`],
    ["push over WebSocket", times(ws), "p95 under 100 ms", ws.p95 < 100],
  ];
  if (plan.http > 0) {
    lines.push(["push over HTTP", times(http), "p95 under 100 ms", http.p95 < 100]);
  }
  lines.push(
    ["errors", `${wrong} of ${count(result.commits)}`, "0", wrong === 0 && failures.size === 0],
    ["due to seen by all others", times(lag)],
    [
      "pages sent",
      `${count(result.pages)}, ${(result.pages / result.commits).toFixed(1)} a commit`,
    ],
    [
      "delay of the event loop",
      `p50 ${ms(delay.p50)}, p99 ${ms(delay.p99)}, max ${ms(delay.max)} at any instant; ` +
      `p99 ${ms(delay.p99OfMetric)} by its metric, ${ms(delay.p99OfTicks)} of ticks, ` +
      `${ms(delay.p99OfItsOwn)} without waiting for its core`,
      "p99 under 50 ms",
      delay.p99 < 50,
    ],
    memoryOf(plan, gateway),
    [
      "processor time of the gateway",
      `${gateway.cpuSeconds.toFixed(1)} s, ${(gateway.cpu * 100).toFixed(0)} % of its core; ` +
      `its main thread waited for it for ${gateway.waitedSeconds.toFixed(1)} s`,
    ],
    [
      "the script itself",
      `${(result.scriptCpu * 100).toFixed(0)} % of its core, late by p99 ${ms(result.late.p99)}`,
    ],
  );
  if (failures.size > 0) lines.push(["failures", failuresOf(failures)]);
  print(title, lines);
}

/** Prints one rate of the search. */
export function printTrial({ perSecond, result, growthMs, sustained }: Trial): void {
  const { lag, gateway, unanswered, unseen, failures } = result;
  const wrong = unanswered + unseen > 0 ? `, ${unanswered} unanswered, ${unseen} unseen` : "";
  console.log(
    `  ${String(perSecond).padStart(5)} commits/s: lag p50 ${ms(lag.p50)}, p99 ${ms(lag.p99)}, ` +
      `growing by ${growthMs.toFixed(0)} ms, processor ${(gateway.cpu * 100).toFixed(0)} %, ` +
      `script ${(result.scriptCpu * 100).toFixed(0)} %${wrong}: ` +
      (sustained ? "sustained" : "not sustained") +
      (failures.size > 0 ? ` (${failuresOf(failures)})` : ""),
  );
}

/** Prints how a gateway ended under load. */
export function printSigterm(result: SigtermResult): void {
  const { acknowledged, lost, cut, connections, exitCode, seconds } = result;
  const codes = [...result.codes].map(([code, times]) => `${times} × ${code}`).join(", ");
  print("SIGTERM under load", [
    ["acknowledged commits lost", `${lost} of ${count(acknowledged)}`, "0", lost === 0],
    ["commits kept without an answer", String(result.unansweredKept)],
    ["live connections cut", `${cut} of ${count(connections)}`, "0", cut === 0],
    ["told and closed", `${result.told} told by draining; close codes ${codes || "none"}`],
    ["HTTP connections cut under a push", String(result.requestsCut)],
    ["why pushes were not taken", failuresOf(result.failures)],
    ["exit code", String(exitCode), "0", exitCode === 0],
    ["time to the end", `${seconds.toFixed(2)} s`, "within 10 s", seconds <= 10],
  ]);
}

/** Prints what became of repeated pushes. */
export function printIdempotency(result: IdempotencyResult): void {
  const { requests, keys, effects, replayed, failed, unequal, seconds } = result;
  const again = requests - keys;
  print("Repeated Idempotency-Keys", [
    ["requests", `${count(requests)} with ${keys} keys in ${seconds.toFixed(2)} s`],
    ["effects", String(effects), String(keys), effects === keys],
    ["answers replayed", count(replayed), count(again), replayed === again],
    ["keys whose answers differ", String(unequal), "0", unequal === 0],
    ["failed requests", String(failed), "0", failed === 0],
  ]);
}
