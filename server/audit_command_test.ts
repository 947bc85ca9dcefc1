import assert from "node:assert/strict";
import { type AuditConfig, auditConfig, auditTable, runAudit } from "./audit_command.ts";
import { SCHEMA, SECRET, tokenFor, withServer } from "./testing_server.ts";
import { UsageError } from "./values.ts";

const NOW = Date.parse("2026-01-31T09:30:00Z");

function config(...args: readonly string[]): AuditConfig {
  return auditConfig(args, () => undefined, NOW);
}

Deno.test("auditConfig reads times ago and times, and asks for all gateways unless told", () => {
  assert.deepEqual(config().filters, {});
  assert.equal(config().server.gw, "*");
  const { filters, limit, format } = config(
    ...["--since", "1h", "--until", "2026-01-31T09:00:00+01:00", "--gw", "notes"],
    ...["--who", "root", "--what", "schema.put", "--limit", "7", "--format=json"],
  );
  assert.deepEqual(filters, {
    from: "2026-01-31T08:30:00.000Z",
    to: "2026-01-31T08:00:00.000Z",
    gateway: "notes",
    who: "root",
    what: "schema.put",
  });
  assert.deepEqual([limit, format], [7, "json"]);
});

Deno.test("auditConfig refuses what is none of its flags' values", () => {
  const wrong = [
    ["--since", "yesterday"],
    ["--until", "2026-99-99"],
    ["--gw", "a/b"],
    ["--what", "push"],
    ["--limit", "0"],
    ["--format", "csv"],
    ["--after", "1h"],
  ];
  for (const args of wrong) assert.throws(() => config(...args), UsageError, args.join(" "));
});

Deno.test("auditTable shows an entry on one line, whatever is in it", () => {
  const lines = auditTable([
    { at: "2026-01-31T09:30:00.000Z", what: "server.start", outcome: "done", who: {} },
    {
      at: "2026-01-31T09:29:00.000Z",
      what: "flush.force",
      outcome: "refused",
      who: { sub: "eve\n\u001b[2J\u202e" },
      ip: "::1",
      gatewayId: "notes",
      code: "FORBIDDEN",
      details: { times: 3 },
    },
  ]);
  assert.deepEqual(lines, [
    "at                        what          outcome    gateway  who                       from  details",
    "2026-01-31T09:30:00.000Z  server.start  done       -        -                         -",
    "2026-01-31T09:29:00.000Z  flush.force   FORBIDDEN  notes    eve\\u000a\\u001b[2J\\u202e  ::1   " +
    '{"times":3}',
  ]);
});

Deno.test("runAudit reads page after page until the limit or the end", () =>
  withServer(async ({ url, request, admin }) => {
    const count = 1_200;
    for (let i = 0; i < count; i++) {
      const path = "/v1/admin/schema/default";
      const answer = await request(path, { method: "PUT", token: admin, body: SCHEMA });
      await answer.body?.cancel();
    }
    const ask = async (...args: readonly string[]): Promise<readonly Record<string, unknown>[]> => {
      const flags = ["--url", url, "--secret", SECRET, "--format=json", ...args];
      const [json = ""] = await runAudit(auditConfig(flags, () => undefined));
      return JSON.parse(json);
    };
    const all = await ask("--limit", "5000");
    assert.equal(all.length, count + 2);
    assert.equal(all.at(-1)?.["what"], "server.start");
    assert.equal((await ask()).length, 1_000);
    assert.equal((await ask("--limit", "1001")).length, 1_001);
    assert.deepEqual(await ask("--who", "nobody"), []);
    assert.equal((await ask("--gw", "default", "--limit", "3")).length, 3);
    const token = await tokenFor("alice");
    const asClient = auditConfig(["--url", url, "--token", token], () => undefined);
    await assert.rejects(runAudit(asClient), /role admin/);
  }));
