/**
 * The blocks of docs/lake.md, as they stand there, over a gateway's lake in a folder and in a bucket.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type DestinationSpec,
  memoryStores,
  type RunningServer,
  signToken,
  startServer,
} from "@lakesync/server";
import type { ObjectStore } from "@lakesync/adapters/object-store";
import { openFileObjects } from "@lakesync/adapters/object-store/fs";
import { openS3Objects } from "@lakesync/adapters/object-store/s3";
import { Guide } from "../guides/guide.ts";
import { pause } from "../servers/processes.ts";
import { startS3 } from "../servers/s3.ts";
import { READERS } from "./readers.ts";
import { hintsWritten } from "./testing_lakes.ts";
import { lakeTest, useReaders } from "./tests.ts";
import type { LakeTools } from "./tools.ts";

const readers = useReaders([...READERS, "clickhouse"]);
const guide = await Guide.read("docs/lake.md");

const SECRET = "a secret of at least thirty-two characters";
const ROWS = [["t1", "Buy milk"], ["t2", "é 😀"]];
const GATEWAY = "http://127.0.0.1:8787";
const FOLDER = "lakesync-data/lake";
const TOKEN = "eyJ…";
const MOMENT = "2026-01-31 09:30:00";

/** A gateway with a lake of two todos, whose title is there now and was not at a moment before. */
interface Site {
  readonly server: RunningServer;
  readonly token: string;
  /** When there was one todo. */
  readonly momentMs: number;
}

function startGateway(lake: DestinationSpec): Promise<RunningServer> {
  const columns = { id: "string", title: "string" } as const;
  return startServer({
    stores: memoryStores(),
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess: true,
    gateways: {
      default: { schema: { version: 1, tables: { todos: { primaryKey: ["id"], columns } } } },
    },
    destinations: { lake },
  });
}

async function fill(server: RunningServer, token: string): Promise<number> {
  // deno-lint-ignore no-explicit-any -- answers of several shapes
  const call = async (path: string, body?: object): Promise<any> => {
    const response = await fetch(`${server.url}/v1/${path}`, {
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.ok(response.ok, text);
    return JSON.parse(text);
  };
  let momentMs = 0;
  for (const [i, [rowId, title]] of ROWS.entries()) {
    const deltas = [{ op: "INSERT", table: "todos", rowId, columns: { title } }];
    const transactions = [{ mutationId: i + 1, deltas }];
    await call("sync/default/push", { clientId: "phone", schemaVersion: 1, transactions });
    await call("admin/flush/default", {});
    for (let merged = 0; merged <= i;) {
      await pause();
      merged = (await call("admin/destinations/default")).lakes[0].mergedChanges;
    }
    if (i > 0) continue;
    momentMs = Date.now();
    // Texts of moments are of seconds.
    while (Date.now() < Math.ceil((momentMs + 1) / 1_000) * 1_000) await pause();
    momentMs = Date.now() - Date.now() % 1_000;
  }
  return momentMs;
}

async function withSite(
  lake: DestinationSpec,
  store: ObjectStore,
  run: (site: Site) => Promise<void>,
): Promise<void> {
  const server = await startGateway(lake);
  try {
    const token = await signToken({ secret: SECRET, sub: "bi", gw: "default", role: "admin" });
    const momentMs = await fill(server, token);
    await hintsWritten(store, "default");
    await run({ server, token, momentMs });
  } finally {
    await server.close();
  }
}

async function inFolder(run: (site: Site, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const store = { type: "fs", folder: `${folder}/${FOLDER}` } as const;
    const lake = { type: "lake", store, mergeEveryMs: 50 } as const;
    await withSite(lake, await openFileObjects(store.folder), (site) => run(site, folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function textOf(momentMs: number): string {
  return new Date(momentMs).toISOString().slice(0, 19).replace("T", " ");
}

/** A block in another language than SQL or TypeScript. */
function block(name: string, replace: Readonly<Record<string, string>> = {}): string {
  const [, code] = new RegExp(`^\`\`\`\\w+ ${name}\n([^]*?)^\`\`\`$`, "m").exec(guide.text) ?? [];
  assert.ok(code !== undefined, name);
  return Object.entries(replace).reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    return text.replaceAll(from, to);
  }, code);
}

function confOf(properties: string): Readonly<Record<string, string>> {
  return Object.fromEntries(properties.trim().split("\n").map((line) => line.split(/\s+/)));
}

async function runPython(tools: LakeTools, cwd: string, code: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(tools.python, {
    args: ["-c", code],
    cwd,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

lakeTest(
  "docs/lake.md reads a folder by DuckDB, Spark and ClickHouse",
  {},
  () =>
    inFolder(async ({ momentMs }, folder) => {
      const there = { [FOLDER]: `${folder}/${FOLDER}` };
      const duckdb = await readers.get("duckdb").script(guide.statements("duckdb-folder", there));
      assert.deepEqual(duckdb, [ROWS]);
      const clickhouse = guide.statements("clickhouse-folder", there);
      assert.deepEqual(await readers.get("clickhouse").script(clickhouse), [ROWS]);
      const spark = guide.statements("spark", { [MOMENT]: textOf(momentMs) });
      const answers = await readers.get("spark").script(
        spark,
        confOf(block("spark-folder", there)),
      );
      assert.deepEqual(answers, [ROWS, [["phone", "2"]], [["1"]]]);
    }),
);

lakeTest(
  "docs/lake.md finds tables at the gateway by DuckDB and Spark",
  {},
  () =>
    inFolder(async ({ server, token, momentMs }, folder) => {
      const here = { [GATEWAY]: server.url, [TOKEN]: token };
      const duckdb = readers.get("duckdb");
      const [attached, rows] = await duckdb.script(guide.statements("duckdb-catalog", here));
      assert.deepEqual([attached, rows], [[], ROWS]);
      const moment = { [MOMENT]: textOf(momentMs), [FOLDER]: `${folder}/${FOLDER}` };
      const counts = await duckdb.script(guide.statements("duckdb-moment", moment));
      assert.deepEqual(counts, [[["1"]], [["1"]]]);
      await duckdb.script(["DETACH DATABASE lake"]);
      const spark = guide.statements("spark", { [MOMENT]: textOf(momentMs) });
      const answers = await readers.get("spark").script(
        spark,
        confOf(block("spark-catalog", here)),
      );
      assert.deepEqual(answers, [ROWS, [["phone", "2"]], [["1"]]]);
    }),
);

lakeTest(
  "docs/lake.md reads by PyIceberg",
  {},
  (tools) =>
    inFolder(async ({ server, token, momentMs }, folder) => {
      const code = [
        block("pyiceberg-folder"),
        block("pyiceberg-catalog", { [GATEWAY]: server.url, [TOKEN]: token, DELETE: "INSERT" }),
        block("pyiceberg-moment", {
          "datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)": `datetime.fromtimestamp(${
            momentMs / 1_000
          }, timezone.utc)`,
        }),
      ];
      const printed = await runPython(tools, folder, code.join("\n"));
      for (const text of ['["Buy milk"],["é 😀"]', '[["t1"],["t2"]]', '[["phone"],["phone"]]']) {
        assert.ok(printed.includes(text), printed);
      }
      assert.equal(printed.trim().split("\n").at(-1), "1");
    }),
);

lakeTest("docs/lake.md reads a bucket by DuckDB and ClickHouse", { s3: true }, async () => {
  await using s3 = await startS3();
  const { access } = s3;
  const bucket = await s3.createBucket();
  const store = { type: "s3", bucket, prefix: "lake", ...access } as const;
  await using objects = await openS3Objects(store);
  const lake = { type: "lake", store, mergeEveryMs: 50 } as const;
  await withSite(lake, objects, async ({ momentMs }) => {
    const here = {
      "127.0.0.1:9000": new URL(access.endpoint).host,
      "shop/lake": `${bucket}/lake`,
      "'reader'": `'${access.accessKeyId}'`,
      "'secret'": `'${access.secretAccessKey}'`,
    };
    const duckdb = await readers.get("duckdb").script(guide.statements("duckdb-bucket", here));
    assert.deepEqual(duckdb.at(-1), ROWS);
    const statements = guide.statements("clickhouse-bucket", {
      ...here,
      1769851800000: String(momentMs),
    });
    assert.deepEqual(await readers.get("clickhouse").script(statements), [ROWS, [["1"]]]);
  });
});

lakeTest("docs/lake.md has no block of SQL that nobody runs", {}, () => {
  assert.deepEqual(guide.unasked, []);
  return Promise.resolve();
});
