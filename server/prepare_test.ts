import assert from "node:assert/strict";
import type { GatewayConfigs } from "./config_file.ts";
import { DENO_ENVIRONMENT } from "./environment.ts";
import type { Gateways } from "./gateway/gateway.ts";
import { openGateways } from "./gateway/open.ts";
import { delta, push, tx } from "./gateway/testing_fixture.ts";
import { prepareGateways } from "./prepare.ts";
import { memoryStores } from "./store/memory.ts";
import { SCHEMA } from "./testing_server.ts";

const RULES = {
  buckets: [{
    name: "titled",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
} as const;

async function withGateways(test: (gateways: Gateways) => Promise<void>): Promise<void> {
  const gateways = openGateways(memoryStores(), DENO_ENVIRONMENT);
  try {
    await test(gateways);
  } finally {
    await gateways.close();
  }
}

Deno.test("prepareGateways makes gateways hold what is configured, rules included", () =>
  withGateways(async (gateways) => {
    const configs = { notes: { schema: SCHEMA, rules: RULES }, plain: { schema: SCHEMA } };
    await prepareGateways(gateways, configs);
    assert.deepEqual(await gateways.list(), ["default", "notes", "plain"]);
    const notes = await gateways.create("notes");
    assert.deepEqual(await notes.rules(), { rules: RULES, building: undefined });
    const plain = await gateways.create("plain");
    assert.equal(plain.schema?.version, 1);
    assert.equal((await plain.rules()).rules, undefined);
  }));

Deno.test("prepareGateways commits nothing when all is so already", () =>
  withGateways(async (gateways) => {
    const notes = await gateways.create("notes");
    await prepareGateways(gateways, { notes: { schema: SCHEMA, rules: RULES } });
    const { seq } = await notes.stats();
    const again = structuredClone({ notes: { rules: RULES, schema: SCHEMA } });
    await prepareGateways(gateways, again);
    assert.equal((await notes.stats()).seq, seq);
    await prepareGateways(gateways, { notes: { rules: { buckets: [] } } });
    assert.deepEqual((await notes.rules()).rules, { buckets: [] });
  }));

Deno.test("prepareGateways waits until rules hold for rows that are there", () =>
  withGateways(async (gateways) => {
    const notes = await gateways.create("notes");
    await notes.putSchema(SCHEMA);
    const caller = { sub: "root", admin: true, claims: {} };
    const deltas = Array.from(
      { length: 1_200 },
      (_, i) => delta("INSERT", `t${i}`, undefined, { title: "alice" }),
    );
    await push(notes, "root", [tx(1, ...deltas)], {}, caller);
    await prepareGateways(gateways, { notes: { rules: RULES } });
    assert.deepEqual(await notes.rules(), { rules: RULES, building: undefined });
    const alice = { sub: "alice", admin: false, claims: { sub: "alice" } };
    const page = await notes.pull(alice, { clientId: "phone", limit: 10_000, schemaVersion: 1 });
    assert.equal(page.changes.length, 1_200);
  }));

Deno.test("prepareGateways says which gateway refuses what", () =>
  withGateways(async (gateways) => {
    const cases: [GatewayConfigs, string, RegExp][] = [
      [{ a: { rules: RULES } }, "SCHEMA_ERROR", /^Gateway a cannot be as configured: .*schema/],
      [{ b: { schema: { version: 0, tables: {} } } }, "SCHEMA_ERROR", /^Gateway b /],
      [
        { c: { schema: SCHEMA, rules: { buckets: [{ name: "x", tables: ["lists"] }] } } },
        "VALIDATION_ERROR",
        /^Gateway c .*\$\.buckets\[0\]\.tables\[0\]/,
      ],
      [
        {
          c: {
            schema: {
              version: 1,
              tables: { other: { primaryKey: ["id"], columns: { id: "string" } } },
            },
          },
        },
        "SCHEMA_CONFLICT",
        /^Gateway c .* put a changed schema under a higher version/,
      ],
    ];
    for (const [configs, code, message] of cases) {
      await assert.rejects(prepareGateways(gateways, configs), { code, message });
    }
  }));

Deno.test("prepareGateways tells a schema that is older than the gateway's from a changed one", () =>
  withGateways(async (gateways) => {
    const notes = await gateways.create("notes");
    for (const version of [1, 2, 6]) await notes.putSchema({ ...SCHEMA, version });
    await assert.rejects(prepareGateways(gateways, { notes: { schema: SCHEMA } }), {
      code: "SCHEMA_CONFLICT",
      message: /: The file has schema version 1, the gateway 6; update the file$/,
    });
    assert.equal(notes.schema?.version, 6);
  }));
