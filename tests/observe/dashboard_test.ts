import assert from "node:assert/strict";
import { METRICS } from "../../server/observe/metric_table.ts";
import { metricNames } from "./expressions.ts";
import { findPromtool, runPromtool } from "./promtool.ts";

const DASHBOARD = new URL("../../docs/operations/dashboard.json", import.meta.url);

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

async function readPanels(): Promise<readonly Panel[]> {
  return JSON.parse(await Deno.readTextFile(DASHBOARD)).panels;
}

async function expressions(): Promise<readonly string[]> {
  return (await readPanels()).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

Deno.test("every query of the dashboard is about metrics and labels that there are", async () => {
  const known = new Map(METRICS.map((metric) => [metric.name, metric]));
  for (const expr of await expressions()) {
    const names = metricNames(expr);
    assert.ok(names.length > 0, expr);
    const labels = new Set(["instance", "le"]);
    for (const name of names) {
      assert.ok(known.has(name), `${expr} asks for ${name}`);
      for (const label of known.get(name)?.labels ?? []) labels.add(label);
    }
    for (const [, by = ""] of expr.matchAll(/by \(([^)]*)\)/g)) {
      for (const label of by.split(", ")) {
        assert.ok(labels.has(label), `${expr} groups by ${label}`);
      }
    }
  }
});

Deno.test("the dashboard shows every metric", async () => {
  const shown = new Set((await expressions()).flatMap(metricNames));
  const hidden = METRICS.map(({ name }) => name).filter((name) => !shown.has(name));
  assert.deepEqual(hidden, ["lakesync_lake_merge_lag_commits", "lakesync_lake_files"]);
});

Deno.test("panels of the dashboard have an id and a place each", async () => {
  const panels = await readPanels();
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const places = panels.map(({ gridPos: { x, y } }) => `${x},${y}`);
  assert.equal(new Set(places).size, panels.length);
  assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
});

const promtool = await findPromtool();

Deno.test({
  name: "every query of the dashboard is PromQL (promtool)",
  ignore: promtool === undefined,
  fn: async () => {
    const rules = (await expressions()).map((expr, i) => ({
      record: `panel:${i}`,
      expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"),
    }));
    const path = await Deno.makeTempFile({ suffix: ".json" });
    const check = async (all: readonly object[]) => {
      await Deno.writeTextFile(
        path,
        JSON.stringify({ groups: [{ name: "dashboard", rules: all }] }),
      );
      return await runPromtool(promtool ?? "", ["check", "rules", path]);
    };
    const { code, lines } = await check(rules);
    assert.equal(code, 0, lines.join("\n"));
    assert.notEqual((await check([{ record: "a", expr: "sum by (" }])).code, 0);
    await Deno.remove(path);
  },
});
