import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import assert from "node:assert/strict";
import type { RequestEnd } from "../http/lifecycle.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { AccessLog } from "./access_log.ts";
import { LineBudget } from "./line_budget.ts";

const OK: RequestEnd = { status: 200, code: undefined, ms: 2, outcome: "ok" };

function scopeOf(route: string): RequestScope {
  const request = new Request("http://127.0.0.1/x?token=geheim");
  return { id: "r", request, path: "/x", route, gatewayId: "g", clientId: "c 1" } as RequestScope;
}

/** Gives the records that are logged meanwhile. */
function recordsOf(work: () => void, lowestLevel: "info" | "debug" = "info"): LogRecord[] {
  const records: LogRecord[] = [];
  configureSync({
    reset: true,
    sinks: { list: (record) => void records.push(record) },
    loggers: [
      { category: "lakesync", lowestLevel, sinks: ["list"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
    ],
  });
  try {
    work();
  } finally {
    resetSync();
  }
  return records;
}

Deno.test("LineBudget leaves lines out past its bound, and tells how many in the next second", () => {
  let nowMs = 0;
  const told: number[] = [];
  const budget = new LineBudget(2, (lines) => told.push(lines), () => nowMs);
  const taken = () => [budget.take(), budget.take(), budget.take(), budget.take()];
  assert.deepEqual(taken(), [true, true, false, false]);
  assert.deepEqual(told, []);
  nowMs = 1_000;
  assert.deepEqual(taken(), [true, true, false, false]);
  assert.deepEqual(told, [2]);
  nowMs = 5_000;
  assert.equal(budget.take(), true);
  assert.deepEqual(told, [2, 2]);
});

Deno.test("AccessLog bounds lines of what went well, and never those of what failed or was slow", () => {
  const push = scopeOf("/v1/sync/{gatewayId}/push");
  const levels = recordsOf(() => {
    const log = new AccessLog(1, () => 0);
    log.request(push, OK);
    log.request(push, OK);
    log.request(push, { ...OK, status: 500, code: "INTERNAL_ERROR", outcome: "failed" });
    log.request(push, { ...OK, status: 504, code: "TIMEOUT", outcome: "timeout" });
    log.request(push, { ...OK, ms: 1_500 });
  }).map(({ level }) => level);
  assert.deepEqual(levels, ["info", "warning", "warning", "warning"]);
});

Deno.test("AccessLog says what was shed, within its bound", () => {
  const shed = { ...OK, status: 503, code: "BACKPRESSURE", outcome: "shed" } as const;
  const records = recordsOf(() => {
    const log = new AccessLog(1, () => 0);
    for (let i = 0; i < 3; i++) log.request(scopeOf("/v1/sync/{gatewayId}/pull"), shed);
  });
  assert.deepEqual(records.map(({ level }) => level), ["warning"]);
  assert.match(records[0]?.message.join("") ?? "", /pull 503 .*BACKPRESSURE: shed$/);
});

Deno.test("AccessLog keeps probes, and the time of pulls that wait, out of the log", () => {
  const records = recordsOf(() => {
    const log = new AccessLog(10, () => 0);
    log.request(scopeOf("/ready"), { ...OK, status: 503, outcome: "failed" });
    log.request(scopeOf("/metrics"), OK);
    log.request(scopeOf("/v1/sync/{gatewayId}/pull"), { ...OK, ms: 29_000 });
  });
  assert.deepEqual(records.map(({ level, properties }) => [level, properties["route"]]), [
    ["info", "/v1/sync/{gatewayId}/pull"],
  ]);
});

Deno.test("AccessLog tells neither the address nor a client id that is none", () => {
  const [record] = recordsOf(() => new AccessLog(10).request(scopeOf("/v1/x"), OK));
  assert.doesNotMatch(JSON.stringify(record), /geheim|c 1/);
  assert.equal(record?.properties["gateway"], "g");
});
