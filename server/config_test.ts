import { DEFAULT_SERVER_LIMITS } from "./limits.ts";
import assert from "node:assert/strict";
import { RESERVED_CLAIMS } from "./auth/token.ts";
import { configPath, parseCommand } from "./config.ts";
import { LAKE_VARIABLES } from "./destinations/lake_defaults.ts";
import { HELP } from "./help.ts";
import { isLoopback } from "./loopback.ts";
import {
  LAKE_MAINTAIN_SETTINGS,
  MIGRATE_SETTINGS,
  RULES_CHECK_SETTINGS,
  RULES_EXPLAIN_SETTINGS,
  SERVE_SETTINGS,
  TOKEN_SETTINGS,
} from "./settings.ts";
import { UsageError } from "./values.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

const SECRET = "a secret of at least thirty-two characters";

function parse(args: string, env: Record<string, string> = {}) {
  const list = args === "" ? [] : args.split(" ");
  return parseCommand(list, (name) => env[name]);
}

Deno.test("parseCommand with nothing serves the default gateway on loopback", () => {
  const expected = {
    command: "serve",
    host: "127.0.0.1",
    port: 8787,
    auditKeepDays: 400,
    data: "./lakesync-data",
    store: "sqlite",
    secret: undefined,
    jwksUrl: undefined,
    issuer: undefined,
    audience: undefined,
    dev: true,
    logLevel: "info",
    logFormat: "pretty",
    limits: DEFAULT_SERVER_LIMITS,
    proxies: { hops: 0 },
    retention: { logKeepMs: 7 * DAY_MS, logMaxBytes: 2 ** 30, logWhenFull: "refuse" },
    gateways: {},
    destinations: {},
  };
  assert.deepEqual(parse(""), expected);
  assert.deepEqual(parse("serve"), expected);
  assert.deepEqual(parse("", { LAKESYNC_PORT: "" }), expected);
});

Deno.test("parseCommand reads variables, and flags win", () => {
  const env = {
    LAKESYNC_PORT: "9000",
    LAKESYNC_HOST: "0.0.0.0",
    LAKESYNC_DATA: "/data",
    LAKESYNC_STORE: "memory",
    LAKESYNC_JWKS_URL: "https://keys.example/jwks",
    LAKESYNC_ISSUER: "me",
    LAKESYNC_AUDIENCE: "you",
    LAKESYNC_LOG_LEVEL: "debug",
    LAKESYNC_LOG_FORMAT: "json",
    LAKESYNC_LOG_KEEP_DAYS: "0.5",
    LAKESYNC_LOG_MAX_BYTES: "5000000",
    LAKESYNC_LOG_WHEN_FULL: "trim",
    LAKESYNC_TO: "postgres://app@db/shop",
    LAKESYNC_TRUST_PROXY: "2",
  };
  assert.deepEqual(parse("serve --port 9001 --store=kv", env), {
    command: "serve",
    host: "0.0.0.0",
    port: 9001,
    auditKeepDays: 400,
    data: "/data",
    store: "kv",
    secret: undefined,
    jwksUrl: "https://keys.example/jwks",
    issuer: "me",
    audience: "you",
    dev: false,
    logLevel: "debug",
    logFormat: "json",
    limits: DEFAULT_SERVER_LIMITS,
    proxies: { hops: 2 },
    retention: { logKeepMs: DAY_MS / 2, logMaxBytes: 5_000_000, logWhenFull: "trim" },
    gateways: {},
    destinations: { postgres: { type: "postgres", url: "postgres://app@db/shop" } },
  });
  const secret = parse("", { LAKESYNC_SECRET: `  ${SECRET}\n` });
  assert.equal(secret.command === "serve" && secret.secret, SECRET);
});

Deno.test("parseCommand opens gateways without rules on loopback only, and there on demand", () => {
  const dev = (args: string, env: Record<string, string> = {}) => {
    const command = parse(args, env);
    return command.command === "serve" && command.dev;
  };
  const secret = `--secret ${SECRET.replaceAll(" ", "-")}`;
  const open: [string, Record<string, string>?][] = [
    [""],
    ["--host ::1"],
    [`${secret} --dev`],
    ["--jwks-url https://keys.example/jwks --dev=true"],
    [secret, { LAKESYNC_DEV: "1" }],
    ["--dev", { LAKESYNC_DEV: "0" }],
    ["", { LAKESYNC_DEV: "" }],
  ];
  for (const [args, env] of open) assert.equal(dev(args, env), true, args);
  const closed: [string, Record<string, string>?][] = [
    [secret],
    ["--jwks-url https://keys.example/jwks"],
    [`${secret} --host 0.0.0.0`],
    [`${secret} --host 0.0.0.0 --no-dev`],
    ["--dev=false"],
    ["serve --no-dev --port 1"],
    ["", { LAKESYNC_DEV: "0" }],
    ["", { LAKESYNC_DEV: "false" }],
    ["--no-dev", { LAKESYNC_DEV: "1" }],
  ];
  for (const [args, env] of closed) assert.equal(dev(args, env), false, args);
  for (
    const args of [
      `${secret} --host 0.0.0.0 --dev`,
      `--host 0.0.0.0 --dev --jwks-url https://keys.example/jwks`,
      "--dev=maybe",
      "--no-dev=true",
      "token --sub a --dev",
    ]
  ) {
    assert.throws(() => dev(args), UsageError, args);
  }
  assert.throws(() => dev(`${secret} --host 0.0.0.0`, { LAKESYNC_DEV: "1" }), UsageError);
});

Deno.test("parseCommand reads which token to make", () => {
  assert.deepEqual(
    parse(
      "token --sub alice --gw notes --role admin --ttl 2h --claim org=acme --claim a=b=c " +
        '--claims {"orgs":["acme"],"level":5,"org":0}',
    ),
    {
      command: "token",
      sub: "alice",
      gw: "notes",
      role: "admin",
      ttlSeconds: 7200,
      claims: { orgs: ["acme"], level: 5, org: "acme", a: "b=c" },
      data: "./lakesync-data",
      secret: undefined,
      issuer: undefined,
      audience: undefined,
    },
  );
  const ttl = (text: string) => {
    const command = parse(`token --sub a --ttl ${text}`);
    return command.command === "token" && command.ttlSeconds;
  };
  assert.deepEqual(["45", "30s", "15m", "1d"].map(ttl), [45, 30, 900, 86400]);
});

Deno.test("parseCommand takes flags, then variables, then the configuration file", () => {
  const gateways = { notes: {} };
  const settings = { host: "::1", port: "1", store: "memory", dev: "false" };
  const env = { LAKESYNC_PORT: "2", LAKESYNC_STORE: "kv" };
  const command = parseCommand(["--port", "3"], (name) => Reflect.get(env, name), {
    settings,
    gateways,
    destinations: {},
  });
  assert.ok(command.command === "serve");
  const { host, port, store, dev, data } = command;
  assert.deepEqual([host, port, store, dev], ["::1", 3, "kv", false]);
  assert.equal(data, "./lakesync-data");
  assert.deepEqual(command.gateways, gateways);
  const wrong = { settings: { port: "-1" }, gateways: {}, destinations: {} };
  assert.throws(() => parseCommand([], () => undefined, wrong), UsageError);
});

Deno.test("configPath finds the file of a server, and of nothing else", () => {
  const path = (args: string, env: Record<string, string> = {}) =>
    configPath(args.split(" ").filter((arg) => arg), (name) => env[name]);
  assert.equal(path(""), undefined);
  assert.equal(path("serve --config a.ts"), "a.ts");
  assert.equal(path("--port 1 --config=a.ts", { LAKESYNC_CONFIG: "b.ts" }), "a.ts");
  assert.equal(path("", { LAKESYNC_CONFIG: "b.ts" }), "b.ts");
  for (const args of ["token --sub a", "help", "--help", "--version", "rules check"]) {
    assert.equal(path(args, { LAKESYNC_CONFIG: "b.ts" }), undefined);
  }
  assert.throws(() => path("--confg a.ts"), UsageError);
});

Deno.test("parseCommand reads which rules to check and what to explain", () => {
  const server = {
    url: "http://127.0.0.1:8787",
    gw: "default",
    token: undefined,
    data: "./lakesync-data",
    secret: undefined,
    issuer: undefined,
    audience: undefined,
  };
  assert.deepEqual(parse("rules check --rules r.ts --schema s.json"), {
    command: "rules check",
    rules: "r.ts",
    schema: "s.json",
  });
  assert.deepEqual(
    parse("rules check --rules r.ts --url https://example.com/ --gw notes", {
      LAKESYNC_TOKEN: "t",
    }),
    {
      command: "rules check",
      rules: "r.ts",
      schema: { ...server, url: "https://example.com", gw: "notes", token: "t" },
    },
  );
  const explain = parse(
    'rules explain --sub alice --claim org=acme --claims {"org":1,"teams":["a"],"sub":2} ' +
      "--table todos --row t1",
  );
  assert.deepEqual(explain, {
    command: "rules explain",
    claims: { gw: "default", role: "client", org: "acme", teams: ["a"], sub: "alice" },
    table: "todos",
    rowId: "t1",
    server,
  });
});

Deno.test("parseCommand refuses wrong usage", () => {
  for (
    const args of [
      "start",
      "serve now",
      "--prot 1",
      "--port",
      "--port x",
      "--port -1",
      "--port 65536",
      "--port 1e3",
      "--store redis",
      "--log-level loud",
      "--log-format xml",
      "--secret short",
      "--host 0.0.0.0",
      "--host ::",
      "--host example.com",
      "--jwks-url http://keys.example/jwks",
      "--jwks-url nonsense",
      "token",
      "token --sub",
      "token --sub a --ttl soon",
      "token --sub a --ttl 0",
      "token --sub a --role root",
      "token --sub a --claim org",
      "token --sub a --claim =x",
      "token --sub a --claims x",
      "token --sub a --claims [1]",
      "token --sub a --claims null",
      ...RESERVED_CLAIMS.map((name) => `token --sub a --claims {"${name}":1}`),
      ...RESERVED_CLAIMS.map((name) => `token --sub a --claim ${name}=x`),
      "token --sub a --port 1",
      "rules",
      "rules list",
      "rules check",
      "rules check --rules a --url ftp://x",
      "rules explain --sub a --table t",
      "rules explain --sub a --table t --row r --claims 1",
      "rules explain --sub a --table t --row r --claims {",
      "rules explain --table t --row r",
    ]
  ) {
    assert.throws(() => parse(args), UsageError, args);
  }
  assert.throws(() => parse("", { LAKESYNC_PORT: "x" }), UsageError);
  assert.throws(() => parse("", { LAKESYNC_HOST: "0.0.0.0" }), UsageError);
});

Deno.test("parseCommand shows help and version wherever they are asked for", () => {
  assert.equal(parse("token --help").command, "help");
  assert.equal(parse("serve -h --port x").command, "help");
  assert.equal(parse("--version").command, "version");
  assert.equal(parse("help").command, "help");
});

Deno.test("isLoopback knows addresses that only this machine reaches", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1"]) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com"]) {
    assert.ok(!isLoopback(host), host);
  }
});

Deno.test("the help lists every flag with its variable and default", () => {
  const settings = [
    ...SERVE_SETTINGS,
    ...TOKEN_SETTINGS,
    ...RULES_CHECK_SETTINGS,
    ...RULES_EXPLAIN_SETTINGS,
    ...MIGRATE_SETTINGS,
    ...LAKE_MAINTAIN_SETTINGS,
  ];
  for (const { flag, env, fallback } of settings) {
    assert.ok(HELP.includes(`--${flag} `), flag);
    if (env !== undefined) assert.ok(HELP.includes(`[${env}`), env);
    if (fallback !== undefined) assert.ok(HELP.includes(`= ${fallback}]`), flag);
  }
  for (const line of HELP.split("\n")) assert.ok(line.length <= 100, line);
});

Deno.test("the permission set server grants the variables that are read", async () => {
  const config = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  );
  const flags = [...SERVE_SETTINGS, ...TOKEN_SETTINGS].flatMap(({ env }) => env ?? []);
  const names = [...flags, ...LAKE_VARIABLES];
  assert.deepEqual(
    [...config.permissions.server.env.allow].sort(),
    [...new Set(names)].sort(),
  );
});

Deno.test("parseCommand takes the destination of --to instead of those of the file", () => {
  const file = {
    settings: {},
    gateways: {},
    destinations: { warehouse: { type: "memory" } as const },
  };
  const destinations = (...args: string[]) => {
    const command = parseCommand(args, () => undefined, file);
    return command.command === "serve" && command.destinations;
  };
  assert.deepEqual(destinations(), file.destinations);
  const url = "mysql://app:secret@db:3306/shop_{gateway}";
  assert.deepEqual(destinations("--to", url), { mysql: { type: "mysql", url } });
  const folder = { type: "fs", folder: "d/lake" } as const;
  assert.deepEqual(destinations("--to", "lake", "--data", "d"), {
    lake: { type: "lake", store: folder },
  });
  for (
    const bad of [
      "db",
      "http://db",
      "file://host/a",
      "s3://",
      "s3://b/../c",
      "s3://b?key=x",
      "--log-max-bytes=1",
      "--log-when-full=perhaps",
    ]
  ) {
    const args = bad.startsWith("--") ? [bad] : ["--to", bad];
    assert.throws(() => destinations(...args), UsageError, bad);
  }
});

Deno.test("parseCommand finds the lakes to maintain by --to or the configuration", () => {
  const lake = { type: "lake", store: { type: "fs", folder: "./kept" } } as const;
  const own = { type: "lake", store: { type: "s3", bucket: "notes" } } as const;
  const file = {
    settings: { data: "./other", port: "1" },
    gateways: { notes: { destinations: { own } }, none: { destinations: {} } },
    destinations: {
      both: { type: "fanout", primary: { type: "memory" }, secondaries: [lake] } as const,
      second: { type: "lake" } as const,
    },
  };
  const maintain = (args: string[], env: Record<string, string> = {}) =>
    parseCommand(["lake", "maintain", ...args], (name) => env[name], file);
  const second = { type: "lake", store: { type: "fs", folder: "other/lake" } };
  assert.deepEqual(maintain([]), {
    command: "lake maintain",
    gw: "default",
    lakes: [["both", lake], ["second", second]],
    data: "./other",
  });
  assert.deepEqual(maintain(["--gw", "notes", "--data", "d"], { AWS_REGION: "x" }), {
    command: "lake maintain",
    gw: "notes",
    lakes: [["own", { ...own, store: { ...own.store, region: "x" } }]],
    data: "d",
  });
  const named = maintain(["--gw", "none"], { LAKESYNC_TO: "lake" });
  assert.deepEqual(Reflect.get(named, "lakes"), [["lake", second]]);
  // As for questions, it is the data folder's where none is configured.
  assert.deepEqual(Reflect.get(maintain(["--gw", "none"]), "lakes"), [["lake", second]]);
  const databases = { ...file, destinations: { db: { type: "memory" } as const } };
  assert.throws(() => parseCommand(["lake", "maintain"], () => undefined, databases), UsageError);
  const path = configPath(
    ["lake", "maintain"],
    (name) => Reflect.get({ LAKESYNC_CONFIG: "c" }, name),
  );
  assert.equal(path, "c");
  for (const args of [["--gw", "*"], ["--to", "postgres://a/b"], ["--port", "1"]]) {
    assert.throws(() => maintain(args), UsageError, args.join(" "));
  }
  assert.throws(() => parse("lake"), UsageError);
  assert.throws(() => parse("lake clean"), UsageError);
});

Deno.test("parseCommand names what a wrong value was given by: flag, variable or file", () => {
  const wrong = (
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    settings: Readonly<Record<string, string>> = {},
  ) => {
    const file = { settings, gateways: {}, destinations: {} };
    try {
      parseCommand(args, (name) => Reflect.get(env, name), file);
    } catch (error) {
      return error instanceof UsageError ? error.message : error;
    }
  };
  const range = "is a number from 0 to 65535";
  assert.equal(wrong(["--port", "x"], { LAKESYNC_PORT: "1" }), `--port ${range}`);
  assert.equal(wrong([], { LAKESYNC_PORT: "abc" }, { port: "1" }), `LAKESYNC_PORT ${range}`);
  assert.equal(
    wrong(["--config", "a.ts"], {}, { port: "-1" }),
    `port in the configuration a.ts ${range}`,
  );
  const variables: Readonly<Record<string, string>> = {
    LAKESYNC_SECRET: "short",
    LAKESYNC_STORE: "redis",
    LAKESYNC_DEV: "maybe",
    LAKESYNC_JWKS_URL: "nonsense",
    LAKESYNC_CORS_ORIGINS: "a b",
    LAKESYNC_TRUST_PROXY: "x",
    LAKESYNC_LOG_MAX_BYTES: "1",
    LAKESYNC_MAX_MEMORY_BYTES: "much",
  };
  for (const [name, value] of Object.entries(variables)) {
    assert.match(String(wrong([], { [name]: value })), new RegExp(`^${name} `));
  }
  assert.match(String(wrong([], {}, { "log-level": "loud" })), /^logLevel in the configuration /);
  assert.match(
    String(wrong(["query", "SELECT 1"], { LAKESYNC_TO: "x" })),
    /^LAKESYNC_TO is lake, file/,
  );
});
