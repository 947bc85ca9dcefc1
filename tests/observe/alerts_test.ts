import assert from "node:assert/strict";
import { parse } from "yaml";
import { METRICS } from "../../server/observe/metric_table.ts";
import { metricNames } from "./expressions.ts";
import { findPromtool, runPromtool } from "./promtool.ts";

const ALERTS = new URL("../../docs/operations/alerts.yml", import.meta.url);
const RUNBOOKS = new URL("../../docs/operations/runbooks.md", import.meta.url);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook: string;
  };
}

/** A series as promtool writes it: name, further labels, values a minute. */
type Series = readonly [name: string, labels: string, values: string];

/** What makes an alert fire, and what it must keep still at. */
interface Case {
  readonly at: string;
  readonly fires: readonly Series[];
  readonly still: readonly Series[];
}

const PUSH = 'route="/v1/sync/{gatewayId}/push"';
const DB = 'gateway="default",destination="db"';
const FILES = 'mountpoint="/data",fstype="ext4"';

function histogram(name: string, low: string, high: string, values: string): readonly Series[] {
  return [
    [`${name}_bucket`, `le="${low}"`, "0x120"],
    [`${name}_bucket`, `le="${high}"`, values],
    [`${name}_bucket`, `le="+Inf"`, values],
  ];
}

const CASES: Readonly<Record<string, Case>> = {
  LakeSyncDown: {
    at: "5m",
    fires: [["up", 'job="lakesync"', "1 0x9"]],
    still: [["up", 'job="lakesync"', "1 0 1x8"], ["up", 'job="other"', "0x9"]],
  },
  LakeSyncNotReady: {
    at: "5m",
    fires: [["lakesync_ready", "", "1 0x9"]],
    still: [["lakesync_ready", "", "1 0 1x8"]],
  },
  LakeSyncErrors: {
    at: "20m",
    fires: [
      ["lakesync_requests_total", `${PUSH},status="200"`, "0+95x20"],
      ["lakesync_requests_total", `${PUSH},status="500"`, "0+5x20"],
    ],
    still: [
      ["lakesync_requests_total", `${PUSH},status="200"`, "0+100x20"],
      ["lakesync_requests_total", 'route="/ready",status="503"', "0+50x20"],
      ["lakesync_requests_total", `${PUSH},status="404"`, "0+50x20"],
    ],
  },
  LakeSyncDestinationLag: {
    at: "15m",
    fires: [["lakesync_destination_lag_seconds", DB, "0+60x20"]],
    still: [["lakesync_destination_lag_seconds", DB, "290x20"]],
  },
  LakeSyncDestinationFailing: {
    at: "15m",
    fires: [["lakesync_destination_failures", DB, "0+1x20"]],
    still: [["lakesync_destination_failures", DB, "0 1 2 0 1 2 3 0 0 0 0 0 0 0 0 0"]],
  },
  LakeSyncFlushFailures: {
    at: "40m",
    fires: [
      ["lakesync_flush_total", 'status="ok"', "0+6x40"],
      ["lakesync_flush_total", 'status="failed"', "0+4x40"],
    ],
    still: [
      ["lakesync_flush_total", 'status="ok"', "0+60x40"],
      ["lakesync_flush_total", 'status="failed"', "0+4x40"],
    ],
  },
  LakeSyncLakeMergeLag: {
    at: "90m",
    fires: [["lakesync_lake_merge_lag_seconds", DB, "0+60x90"]],
    still: [["lakesync_lake_merge_lag_seconds", DB, "3000x90"]],
  },
  LakeSyncRejects: {
    at: "30m",
    fires: [
      ["lakesync_rejected_total", 'code="FORBIDDEN_WRITE"', "0+60x30"],
      ["lakesync_push_total", 'status="ok"', "0+600x30"],
    ],
    still: [
      ["lakesync_rejected_total", 'code="FORBIDDEN_WRITE"', "0+60x30"],
      ["lakesync_push_total", 'status="ok"', "0+6000x30"],
    ],
  },
  LakeSyncChecksumMismatch: {
    at: "10m",
    fires: [["lakesync_checksum_mismatch_total", 'source="bucket"', "0 0 0 1x10"]],
    still: [["lakesync_checksum_mismatch_total", 'source="bucket"', "3x13"]],
  },
  LakeSyncClockDrift: {
    at: "30m",
    fires: [["lakesync_stopped_total", 'code="CLOCK_DRIFT"', "0+5x30"]],
    still: [
      ["lakesync_stopped_total", 'code="CLOCK_DRIFT"', "0+1x30"],
      ["lakesync_stopped_total", 'code="SCHEMA_AHEAD"', "0+50x30"],
    ],
  },
  LakeSyncResyncs: {
    at: "15m",
    fires: [["lakesync_resync_total", "", "0+10x15"]],
    still: [["lakesync_resync_total", "", "0+1x15"]],
  },
  LakeSyncPushSlow: {
    at: "30m",
    fires: histogram("lakesync_push_latency_ms", "100", "500", "0+60x120"),
    still: histogram("lakesync_push_latency_ms", "10", "50", "0+60x120"),
  },
  LakeSyncEventLoopDelay: {
    at: "30m",
    fires: histogram("lakesync_event_loop_delay_seconds", "0.25", "0.5", "0+60x120"),
    still: histogram("lakesync_event_loop_delay_seconds", "0.02", "0.03", "0+60x120"),
  },
  LakeSyncMemoryHigh: {
    at: "10m",
    fires: [
      ["process_resident_memory_bytes", "", "950x10"],
      ["lakesync_memory_max_bytes", "", "1000x10"],
    ],
    still: [
      ["process_resident_memory_bytes", "", "850x10"],
      ["lakesync_memory_max_bytes", "", "1000x10"],
    ],
  },
  LakeSyncTurningWorkAway: {
    at: "20m",
    fires: [["lakesync_shed_total", 'reason="memory"', "0+1x20"]],
    still: [
      ["lakesync_shed_total", 'reason="draining"', "0+10x20"],
      ["lakesync_shed_total", 'reason="memory"', "5x20"],
    ],
  },
  LakeSyncConnectionsNearLimit: {
    at: "10m",
    fires: [
      ["lakesync_ws_connections", "", "950x10"],
      ["lakesync_ws_connections_max", "", "1000x10"],
    ],
    still: [
      ["lakesync_ws_connections", "", "850x10"],
      ["lakesync_ws_connections_max", "", "1000x10"],
    ],
  },
  LakeSyncSlowReaders: {
    at: "20m",
    fires: [["lakesync_ws_closed_total", 'reason="slow"', "0+2x20"]],
    still: [
      ["lakesync_ws_closed_total", 'reason="slow"', "40x20"],
      ["lakesync_ws_closed_total", 'reason="client"', "0+50x20"],
    ],
  },
  LakeSyncTokenRefusals: {
    at: "20m",
    fires: [["lakesync_errors_total", 'code="AUTH_ERROR"', "0+600x20"]],
    still: [["lakesync_errors_total", 'code="AUTH_ERROR"', "0+60x20"]],
  },
  LakeSyncRateLimited: {
    at: "30m",
    fires: [["lakesync_rate_limited_total", "", "0+120x30"]],
    still: [["lakesync_rate_limited_total", "", "0+30x30"]],
  },
  LakeSyncDiskNearlyFull: {
    at: "10m",
    fires: [
      ["node_filesystem_avail_bytes", FILES, "9x10"],
      ["node_filesystem_size_bytes", FILES, "100x10"],
    ],
    still: [
      ["node_filesystem_avail_bytes", FILES, "40x10"],
      ["node_filesystem_size_bytes", FILES, "100x10"],
    ],
  },
  LakeSyncDiskFillingUp: {
    at: "8h",
    fires: [["node_filesystem_avail_bytes", FILES, "1000-1x480"]],
    still: [["node_filesystem_avail_bytes", FILES, "100000-1x480"]],
  },
  LakeSyncClockUnsynchronized: {
    at: "20m",
    fires: [["node_timex_sync_status", "", "0x20"]],
    still: [["node_timex_sync_status", "", "1x20"]],
  },
};

async function readRules(): Promise<readonly Rule[]> {
  const { groups } = parse(await Deno.readTextFile(ALERTS));
  return groups.flatMap(({ rules }: { readonly rules: readonly Rule[] }) => rules);
}

function inputOf(instance: string, all: readonly Series[]) {
  return all.map(([name, labels, values]) => {
    const more = labels === "" ? "" : `,${labels}`;
    return { series: `${name}{instance="${instance}"${more}}`, values };
  });
}

/** A test of promtool: the instance `fires` has the alert, the instance `still` has not. */
function testOf(alert: string, { at, fires, still }: Case): object {
  return {
    interval: "1m",
    input_series: [...inputOf("fires", fires), ...inputOf("still", still)],
    promql_expr_test: [{
      expr: `count by (instance) (ALERTS{alertname="${alert}",alertstate="firing"})`,
      eval_time: at,
      exp_samples: [{ labels: '{instance="fires"}', value: 1 }],
    }],
  };
}

const promtool = await findPromtool();

Deno.test({
  name: "every alert fires at what it is for, and keeps still at what is near it (promtool)",
  ignore: promtool === undefined,
  fn: async () => {
    const rules = await readRules();
    assert.deepEqual(rules.map(({ alert }) => alert).toSorted(), Object.keys(CASES).toSorted());
    const checked = await runPromtool(promtool ?? "", ["check", "rules", ALERTS.pathname]);
    assert.equal(checked.code, 0, checked.lines.join("\n"));
    const folder = await Deno.makeTempDir();
    const path = `${folder}/tests.json`;
    const run = async (cases: Readonly<Record<string, Case>>) => {
      const tests = Object.entries(cases).map(([alert, one]) => testOf(alert, one));
      const file = { rule_files: [ALERTS.pathname], evaluation_interval: "1m", tests };
      await Deno.writeTextFile(path, JSON.stringify(file));
      return await runPromtool(promtool ?? "", ["test", "rules", path]);
    };
    const { code, lines } = await run(CASES);
    assert.equal(code, 0, lines.join("\n"));
    const swapped = Object.entries(CASES).map(([alert, { at, fires, still }]) =>
      [alert, { at, fires: still, still: fires }] as const
    );
    const wrong = await run(Object.fromEntries(swapped));
    assert.equal(
      wrong.lines.filter((line) => line.includes("expr:")).length,
      swapped.length,
      wrong.lines.join("\n"),
    );
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test("every alert is about metrics that there are, and names a runbook that there is", async () => {
  const known = new Set(METRICS.map(({ name }) => name));
  const text = await Deno.readTextFile(RUNBOOKS);
  const runbooks = new Set(
    [...text.matchAll(/^## (.+)$/gm)].map(([, title = ""]) =>
      title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
    ),
  );
  for (const { alert, expr, labels, annotations } of await readRules()) {
    for (const name of metricNames(expr)) {
      assert.ok(known.has(name) || /^node_/.test(name), `${alert} is about ${name}`);
    }
    assert.match(labels.severity, /^(page|ticket)$/);
    assert.ok(runbooks.has(annotations.runbook), `${alert} names ${annotations.runbook}`);
    assert.ok(annotations.summary !== "" && annotations.description !== "");
  }
});
