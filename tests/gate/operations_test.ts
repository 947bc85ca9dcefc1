import assert from "node:assert/strict";
import { parse as parseYaml } from "yaml";
import { METRICS } from "../../server/observe/metric_table.ts";
import { readText } from "./files.ts";
import { fill, PAGE } from "./operations.ts";
import { amount, descriptionsIn, flags, readAlerts } from "./operations_tables.ts";

Deno.test("docs/operations.md has its tables as deno task docs:operations makes them", async () => {
  const page = await readText(PAGE);
  assert.equal(await fill(page), page, "run deno task docs:operations");
});

Deno.test("fill replaces what is between the comments, and needs each table once", async () => {
  const page = await readText(PAGE);
  const stale = page.replace(/\n\| 130 .*\n/, "\n| 131 | stale |\n");
  assert.notEqual(stale, page);
  assert.equal(await fill(stale), page);
  const twice = page + "\n<!-- table: files -->\n<!-- end of table -->\n";
  await assert.rejects(fill(twice), /asks for files/);
  await assert.rejects(fill(page.replace("<!-- table: errors -->", "")), /lacks errors/);
});

Deno.test("every flag of the command is in the table with its variable", () => {
  const text = flags();
  for (const name of ["--port <number>", "--audit-keep-days", "LAKESYNC_RATE_IP_BURST"]) {
    assert.ok(text.includes(name), name);
  }
});

Deno.test("every variable in the table is one that the permission sets let the server read", async () => {
  const { permissions } = JSON.parse(await readText("deno.json"));
  const [serve = ""] = flags().split("####").filter((part) => part.includes("lakesync serve"));
  for (const [, name = ""] of serve.matchAll(/`(LAKESYNC_\w+)`/g)) {
    for (const set of ["server", "container"]) {
      assert.ok(permissions[set].env.allow.includes(name), `${set} may not read ${name}`);
    }
  }
});

Deno.test("descriptionsIn reads the descriptions of fields", () => {
  const source = [
    "/** Not this. */",
    "export interface Other { a: number }",
    "export interface Bounds {",
    "  /** One line. */",
    "  readonly maxA: number;",
    "  /**",
    "   * Two",
    "   * lines.",
    "   */",
    "  maxB?: number;",
    "}",
    "  /** After. */",
    "  readonly maxC: number;",
  ].join("\n");
  assert.deepEqual([...descriptionsIn(source, "Bounds")], [
    ["maxA", "One line"],
    ["maxB", "Two lines"],
  ]);
  assert.throws(() => descriptionsIn(source, "Missing"), /no Missing/);
});

Deno.test("amount writes numbers with the unit that people read", () => {
  assert.equal(amount("maxBodyBytes", 16 * 1024 * 1024), "16,777,216 (16 MiB)");
  assert.equal(amount("maxRowIdBytes", 1_024), "1,024 (1 KiB)");
  assert.equal(amount("maxBodyBytes", 1_000_000), "1,000,000");
  assert.equal(amount("keepMs", 24 * 60 * 60 * 1000), "86,400,000 (24 h)");
  assert.equal(amount("keepMs", 7 * 24 * 60 * 60 * 1000), "604,800,000 (7 days)");
  assert.equal(amount("drainTimeoutMs", 10_000), "10,000 (10 s)");
  assert.equal(amount("maxConnections", 1024), "1,024");
});

Deno.test("every alert asks for metrics that there are, and has a runbook", async () => {
  const runbooks = await readText("docs/operations/runbooks.md");
  const places = [...runbooks.matchAll(/^#+ (.+)$/gm)]
    .map(([, title = ""]) => title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-"));
  const names = new Set(METRICS.map(({ name }) => name));
  const alerts = await readAlerts();
  assert.ok(alerts.length > 10);
  for (const { alert, expr, annotations } of alerts) {
    assert.ok(places.includes(annotations?.["runbook"] ?? ""), `${alert} has no runbook`);
    for (const [name] of expr.matchAll(/\b(lakesync|process)_\w+/g)) {
      const known = names.has(name) || names.has(name.replace(/_(bucket|sum|count)$/, ""));
      assert.ok(known, `${alert} asks for ${name}`);
    }
  }
});

Deno.test("the Kubernetes manifest asks for paths that there are, and waits long enough", async () => {
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(await readText(PAGE)) ?? [];
  const { spec } = parseYaml(yaml);
  const { terminationGracePeriodSeconds, containers: [container] } = spec.template.spec;
  const paths = ["startupProbe", "livenessProbe", "readinessProbe"]
    .map((probe) => container[probe].httpGet.path);
  assert.deepEqual(paths, ["/startupz", "/livez", "/ready?exclude=destinations"]);
  const { preStop } = container.lifecycle;
  assert.ok(terminationGracePeriodSeconds > preStop.sleep.seconds + 10 + 5);
  assert.equal(spec.strategy.type, "Recreate");
});
