import assert from "node:assert/strict";
import { loadConfig, readConfig } from "./config_file.ts";
import { DEFAULT_SERVER_LIMITS, LIMIT_SETTINGS, limitFlag } from "./limits.ts";
import { SERVE_SETTINGS } from "./settings.ts";
import { SCHEMA } from "./testing_server.ts";
import { UsageError } from "./values.ts";

Deno.test("readConfig takes each setting by the name of its flag, in camel case", () => {
  const config = {
    host: "::1",
    port: 9000,
    trustProxy: "10.0.0.0/8",
    data: "d",
    store: "kv",
    secret: "s",
    jwksUrl: "https://keys.example/jwks",
    issuer: "me",
    audience: "you",
    dev: false,
    logLevel: "error",
    logFormat: "json",
    to: "memory:",
    logKeepDays: 3,
    logMaxBytes: 5_000_000,
    logWhenFull: "trim",
    auditKeepDays: 30,
    tlsKey: "key.pem",
    tlsCert: "cert.pem",
    corsOrigins: "https://a.example",
    ...DEFAULT_SERVER_LIMITS,
    gateways: { notes: { schema: SCHEMA, destinations: { db: { type: "memory" } } } },
    destinations: {
      db: {
        type: "fanout",
        primary: {
          type: "postgres",
          url: "postgres://a@b/c",
          schema: "{gateway}",
          adopt: ["t"],
          prepare: false,
          tls: { ca: "PEM", verify: false },
        },
        secondaries: [
          { type: "lifecycle", hot: { type: "memory" }, cold: { type: "memory" }, hotDays: 30 },
        ],
        flush: { everyMs: 0, maxLagMs: 60_000 },
      },
    },
  };
  const { settings, gateways, destinations } = readConfig(config);
  assert.deepEqual(settings, {
    host: "::1",
    port: "9000",
    "trust-proxy": "10.0.0.0/8",
    data: "d",
    store: "kv",
    secret: "s",
    "jwks-url": "https://keys.example/jwks",
    issuer: "me",
    audience: "you",
    dev: "false",
    "log-level": "error",
    "log-format": "json",
    to: "memory:",
    "log-keep-days": "3",
    "log-max-bytes": "5000000",
    "log-when-full": "trim",
    "audit-keep-days": "30",
    "tls-key": "key.pem",
    "tls-cert": "cert.pem",
    "cors-origins": "https://a.example",
    ...Object.fromEntries(
      LIMIT_SETTINGS.map(({ limit }) => [limitFlag(limit), String(DEFAULT_SERVER_LIMITS[limit])]),
    ),
  });
  const flags = SERVE_SETTINGS.map(({ flag }) => flag).filter((flag) => flag !== "config");
  assert.deepEqual(Object.keys(settings).sort(), flags.sort());
  assert.deepEqual(gateways, config.gateways);
  assert.deepEqual(destinations, config.destinations);
  assert.deepEqual(readConfig({ port: undefined }), {
    settings: {},
    gateways: {},
    destinations: {},
  });
});

Deno.test("readConfig refuses what it does not know, with its place", () => {
  const cases: [unknown, RegExp][] = [
    [[], /must be an object/],
    [undefined, /must be an object/],
    [{ prt: 1 }, /^prt is not known, there are host, port/],
    [{ config: "x" }, /config is not known/],
    [{ "jwks-url": "x" }, /jwks-url is not known/],
    [{ port: "8787" }, /port must be a number/],
    [{ dev: "yes" }, /dev must be a boolean/],
    [{ host: null }, /host must be a string/],
    [{ gateways: [] }, /gateways must be an object/],
    [{ gateways: { "a/b": {} } }, /gateways\.a\/b is not named like a gateway/],
    [{ gateways: { a: 1 } }, /gateways\.a must be an object/],
    [{ gateways: { a: { rule: {} } } }, /gateways\.a\.rule is not known/],
    [{ destinations: [] }, /^destinations must be an object/],
    [{ destinations: { "1": {} } }, /^destinations\.1: a name is/],
    [{ destinations: { a: 1 } }, /^destinations\.a must be an object with a type/],
    [{ destinations: { a: { type: "oracle" } } }, /a\.type must be one of postgres, mysql/],
    [{ destinations: { a: { type: "postgres" } } }, /^destinations\.a\.url is needed/],
    [{ destinations: { a: { type: "mysql", url: "postgres://x" } } }, /a\.url must be an address/],
    [{ destinations: { a: { type: "memory", pool: 1 } } }, /a\.pool is not known, there are flush/],
    [
      { destinations: { a: { type: "mysql", url: "mysql://a@b/c", poolMax: 1 } } },
      /a\.poolMax must be a whole number from 2/,
    ],
    [
      { destinations: { a: { type: "mysql", url: "mysql://a@b/c", tls: { ca: 1 } } } },
      /a\.tls\.ca must be a string/,
    ],
    [
      { destinations: { a: { type: "memory", flush: { everyMs: -1 } } } },
      /a\.flush\.everyMs must be a whole number from 0/,
    ],
    [
      {
        gateways: {
          g: {
            destinations: {
              a: { type: "composite", routes: { t: {} }, default: { type: "memory" } },
            },
          },
        },
      },
      /^gateways\.g\.destinations\.a\.routes\.t\.type must be one of/,
    ],
  ];
  for (const [input, message] of cases) {
    assert.throws(() => readConfig(input), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("loadConfig loads JSON and modules, and says which file is wrong", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const write = async (name: string, text: string) => {
      await Deno.writeTextFile(`${folder}/${name}`, text);
      return `${folder}/${name}`;
    };
    const json = await write("a.json", '{"port":1}');
    assert.deepEqual((await loadConfig(json)).settings, { port: "1" });
    const module = await write("b.ts", "const port: number = 2;\nexport default { port };\n");
    assert.deepEqual((await loadConfig(module)).settings, { port: "2" });
    const wrong: [string, RegExp][] = [
      [`${folder}/none.ts`, /none\.ts: No such file/],
      [await write("c.json", "{"), /c\.json: It is not valid JSON/],
      [await write("d.js", "export const port = 1;"), /d\.js: It has no default export/],
      [await write("e.js", "throw new Error('broken')"), /e\.js: broken/],
      [await write("f.json", '{"prt":1}'), /f\.json: prt is not known/],
    ];
    for (const [path, message] of wrong) {
      await assert.rejects(loadConfig(path), (error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, message);
        return true;
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
