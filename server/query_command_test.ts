import assert from "node:assert/strict";
import { join } from "node:path";
import { configPath, parseCommand } from "./config.ts";
import type { DestinationSpecs } from "./destinations/spec.ts";
import { type RunningServer, startServer } from "./server.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import { SECRET, tokenFor } from "./testing_server.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const NO_FILE = { settings: {}, gateways: {}, destinations: {} };

const TABLES = {
  todos: {
    primaryKey: ["id"],
    columns: {
      id: "string",
      title: "string",
      big: "integer",
      votes: { type: "integer", merge: "counter" },
      due: "timestamp",
      price: "decimal(20,4)",
    },
  },
} as const;

async function lakesync(
  cwd: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--config", CONFIG, "-A", MAIN, ...args],
    cwd,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A server on a data folder, whose lake is beside it. */
async function serve(
  folder: string,
  destinations: DestinationSpecs = lakeIn(folder),
): Promise<RunningServer> {
  return await startServer({
    stores: await openSqliteStores(join(folder, "data")),
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess: true,
    gateways: { default: { schema: { version: 1, tables: TABLES } } },
    destinations,
  });
}

function lakeIn(folder: string): DestinationSpecs {
  const store = { type: "fs", folder: join(folder, "lake") } as const;
  return { lake: { type: "lake", store, flush: LATE } };
}

/** Nothing is flushed unless it is asked for. */
const LATE = { everyMs: 3_600_000 };

async function post(server: RunningServer, path: string, body: object): Promise<void> {
  const response = await fetch(`${server.url}/v1/${path}`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${await tokenFor("root", "*", "admin")}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, await response.text());
}

async function push(
  server: RunningServer,
  clientId: string,
  mutationId: number,
  op: string,
  columns: Readonly<Record<string, unknown>>,
): Promise<void> {
  const deltas = [{ op, table: "todos", rowId: "t1", columns }];
  const transactions = [{ mutationId, deltas }];
  await post(server, "sync/default/push", { clientId, schemaVersion: 1, transactions });
}

Deno.test("lakesync query answers with what is not flushed yet, from a server and from its folder", async () => {
  const folder = await Deno.makeTempDir();
  const lake = ["--lake", `file://${join(folder, "lake")}`, "--data", join(folder, "data")];
  const server = await serve(folder);
  const asked = [...lake, "--url", server.url, "--secret", SECRET];
  const ask = (...args: string[]) => lakesync(folder, ...args);
  try {
    await push(server, "phone", 1, "INSERT", {
      title: "Milk",
      big: "9223372036854775807",
      votes: 1,
      due: "1969-12-31T23:59:59.999999Z",
      price: "1234567890123456.5000",
    });
    await post(server, "admin/flush/default", {});
    await push(server, "desk", 1, "UPDATE", { votes: { add: 2 } });
    const sql = "SELECT * FROM todos";
    const row = "t1,Milk,9223372036854775807,3,1969-12-31T23:59:59.999999Z,1234567890123456.5000";
    const all = await ask("query", sql, "--format", "csv", ...asked);
    assert.deepEqual(
      [all.code, all.stdout, all.stderr],
      [0, `id,title,big,votes,due,price\r\n${row}\r\n`, "lakesync: as of commit 2\n"],
    );
    const early = await ask("query", sql, "--format", "json", "--as-of", "1", ...asked);
    assert.equal(JSON.parse(early.stdout)[0].votes, 1);
    const flushed = await ask("query", "SELECT votes FROM todos", "--tail", "none", ...asked);
    assert.deepEqual([flushed.code, flushed.stdout], [0, "votes\n-----\n    1\n"]);

    const history = await ask("history", "todos", "t1", "--tail", "server", ...asked);
    assert.match(
      history.stdout,
      /^\S+Z {2}commit 1 {2}phone {2}INSERT\n {4}title: null -> "Milk"\n[^]*\n\S+Z {2}commit 2 {2}desk {3}UPDATE\n {4}votes: 1 -> 3\n$/,
    );
    const refused = await ask("query", "SELECT * FROM '/etc/passwd'", ...asked);
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.match(
      refused.stderr,
      /There is no table \/etc\/passwd, there are todos, todos__changes/,
    );
    const held = await ask("query", sql, "--tail", "data", ...lake);
    assert.equal(held.code, 1);
    assert.match(held.stderr, /is held by process/);
    const nowhere = await ask("history", "todos", "nope", ...asked);
    assert.match(nowhere.stderr, /Nothing is known of a row "nope" of todos/);
    assert.equal(nowhere.code, 1);
  } finally {
    await server.close();
  }
  // A server that ends flushes for a last time; one without the lake leaves what is new.
  const other = await serve(folder, {});
  await push(other, "desk", 2, "UPDATE", { votes: { add: 10 } });
  await other.close();
  try {
    const votes = await ask("query", "SELECT votes FROM todos", "--format", "csv", ...lake);
    assert.deepEqual([votes.code, votes.stdout], [0, "votes\r\n13\r\n"]);
    const parquet = join(folder, "votes.parquet");
    const late = ["--format", "parquet", "--out", parquet, "--tail", "data", ...lake];
    for (const _ of ["a new file", "one that is there"]) {
      const written = await ask("query", "SELECT votes FROM todos", ...late);
      assert.equal(written.code, 0, written.stderr);
      assert.match(written.stderr, /as of commit \d+/);
      assert.deepEqual(
        (await Deno.readFile(parquet)).slice(0, 4),
        new TextEncoder().encode("PAR1"),
      );
    }
    for (const [out, message] of [["none/v", /no folder .*none, make it/], [".", /is a folder/]]) {
      const nowhere = await ask("query", "SELECT 1", "--out", String(out), ...lake);
      assert.equal(nowhere.code, 2);
      assert.match(nowhere.stderr, message instanceof RegExp ? message : /^$/);
    }
    for (const args of [["query", "SELECT * FROM todos"], ["history", "todos", "t1"]]) {
      const url = `file://${join(folder, "mistyped", "lake")}`;
      const none = await ask(...args, "--lake", url, "--data", join(folder, "data"));
      assert.deepEqual([none.code, none.stdout], [1, ""]);
      assert.match(none.stderr, /There is no lake in file:.*mistyped/);
      await assert.rejects(Deno.stat(join(folder, "mistyped")), Deno.errors.NotFound);
    }
    const piped = ["--format", "parquet", "--tail", "data", ...lake];
    assert.match((await ask("query", "SELECT votes FROM todos", ...piped)).stdout, /^PAR1/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("parseCommand reads questions, and says how they are asked", () => {
  const parse = (...args: string[]) => parseCommand(args, () => undefined, NO_FILE);
  const moments = [
    ["120", { seq: 120 }],
    ["snapshot:9007199254740993", { snapshot: 9007199254740993n }],
    ["2026-01-31T09:30:00+01:00", "2026-01-31T09:30:00+01:00"],
  ] as const;
  for (const [text, asOf] of moments) {
    const command = parse("query", "SELECT 1", "--as-of", text);
    assert.deepEqual(command.command === "query" && command.asOf, asOf);
  }
  const plain = parse("history", "todos", "t1");
  assert.ok(plain.command === "history");
  const { lake, tail, table, rowId, format } = plain;
  assert.deepEqual({ lake, tail, table, rowId, format }, {
    lake: { type: "lake", store: { type: "fs", folder: "lakesync-data/lake" } },
    tail: "auto",
    table: "todos",
    rowId: "t1",
    format: "table",
  });
  const negative = parse("history", "todos", "-7", "--tail", "none");
  assert.equal(negative.command === "history" && negative.rowId, "-7");
  const orders = [
    ["SELECT 1", "--tail", "none", "--url=http://127.0.0.1:1"],
    ["--tail", "none", "SELECT 1", "--url=http://127.0.0.1:1"],
    ["--tail=none", "--url", "http://127.0.0.1:1", "SELECT 1"],
    ["--url", "http://127.0.0.1:1", "--tail", "none", "--", "SELECT 1"],
  ].map((args) => parse("query", ...args));
  for (const order of orders) assert.deepEqual(order, orders[0]);
  assert.ok(orders[0]?.command === "query");
  assert.deepEqual([orders[0].sql, orders[0].tail], ["SELECT 1", "none"]);
  const comment = parse("query", "--tail", "none", "-- all\nSELECT 1");
  assert.equal(comment.command === "query" && comment.sql, "-- all\nSELECT 1");
  const between = parse("history", "--tail", "none", "todos", "--gw=a", "--", "--t1");
  assert.ok(between.command === "history");
  assert.deepEqual([between.table, between.rowId, between.server.gw], ["todos", "--t1", "a"]);
  const wrong = [
    [["query"], /lakesync query "SELECT …"/],
    [["query", "a", "b"], /lakesync query "SELECT …"/],
    [["query", "a", "--tail", "none", "b"], /lakesync query "SELECT …"/],
    [["query", "--tail", "none"], /lakesync query "SELECT …"/],
    [["query", "a", "--tial", "none"], /--tial/],
    [["history", "todos"], /lakesync history <table> <rowId>/],
    [["query", "a", "--as-of", "yesterday"], /--as-of is a time/],
    [["query", "a", "--format", "xml"], /--format is one of/],
    [["history", "t", "r", "--format", "csv"], /--format is one of/],
    [["query", "a", "--tail", "both"], /--tail is one of/],
    [["query", "a", "--lake", "postgres://x/y"], /--lake is lake, file/],
    [["query", "a", "--lake", "shop"], /--lake is lake, file/],
    [["query", "a", "--gw", "*"], /--gw is the id of one gateway/],
  ] as const;
  for (const [args, message] of wrong) assert.throws(() => parse(...args), message);
});

Deno.test("parseCommand finds the lake of a configuration", () => {
  const lake = { type: "lake", store: { type: "fs", folder: "/a" } } as const;
  const other = { type: "lake", store: { type: "fs", folder: "/b" } } as const;
  const memory = { type: "memory" } as const;
  const parse = (destinations: object, ...args: string[]) => {
    const file = { ...NO_FILE, destinations: destinations as typeof NO_FILE.destinations };
    const command = parseCommand(["query", "SELECT 1", ...args], () => undefined, file);
    return command.command === "query" ? command.lake : undefined;
  };
  assert.deepEqual(parse({ db: memory, lake }), lake);
  const composed = { type: "fanout", primary: memory, secondaries: [lake] };
  assert.deepEqual(parse({ composed }), lake);
  assert.deepEqual(parse({ lake, other }, "--lake", "other"), other);
  assert.throws(() => parse({ lake, other }), /several lakes, give --lake with one of lake, other/);
  assert.throws(() => parse({ db: memory }), /has no lake with tables as a destination/);
  const json = { ...lake, flushFormat: "json" } as const;
  assert.deepEqual(parse({ json, other }), other);
  assert.throws(() => parse({ json, other }, "--lake", "json"), /json is no lake with tables/);
  assert.throws(() => parse({ lake, other }, "--lake", "shop"), /in --config: lake, other/);
  for (const args of [["SELECT 1", "--config", "c.ts"], ["--config", "c.ts", "SELECT 1"]]) {
    assert.equal(configPath(["query", ...args], () => undefined), "c.ts");
  }
});
