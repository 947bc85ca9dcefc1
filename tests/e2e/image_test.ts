/**
 * What the Dockerfile says, done without Docker: its files, its variables, its command and its
 * health check.
 */

import assert from "node:assert/strict";
import { OPEN_RULES, type SchemaSpec } from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { parse } from "yaml";
import { SERVE_SETTINGS } from "../../server/settings.ts";
import { freePort } from "../servers/port.ts";
import { findS3, startS3 } from "../servers/s3.ts";
import { query } from "../servers/testing_sql.ts";
import { databaseTest } from "../servers/tests.ts";
import { until } from "./wait.ts";

const ROOT = new URL("../../", import.meta.url);
const SECRET = "the image's own secret of many characters";

const SCHEMA: SchemaSpec = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } } },
};
/** What a Dockerfile says. */
interface Image {
  /** What is copied from the repository, and to where in `/app`. */
  readonly copies: readonly (readonly [from: string, to: string])[];
  /** The variables it sets. */
  readonly env: Readonly<Record<string, string>>;
  /** The program that runs, and its arguments. */
  readonly command: readonly string[];
  /** The shell command that tells whether it is healthy. */
  readonly healthCheck: string;
}

async function readImage(): Promise<Image> {
  const text = (await Deno.readTextFile(new URL("Dockerfile", ROOT)))
    .replaceAll(/^#.*\n/gm, "").replaceAll(/\\\n\s*/g, "");
  const one = (pattern: RegExp) => pattern.exec(text)?.[1] ?? assert.fail(`No ${pattern}`);
  const copies = [...text.matchAll(/^COPY (?:--\S+ )*(.+) (\S+)$/gm)].flatMap(([, all = "", to]) =>
    all.split(" ").map((from) => [from, to === "./" ? from : `${to}`.replace("./", "")] as const)
  );
  const env = one(/^ENV (.+)$/m).split(" ").map((pair) => pair.split("="));
  return {
    copies,
    env: Object.fromEntries(env),
    command: JSON.parse(one(/^CMD (\[.+\])$/m)),
    healthCheck: one(/^HEALTHCHECK .*? CMD (.+)$/m),
  };
}

/** Files that `.dockerignore` leaves out wherever they are. */
async function readIgnored(): Promise<RegExp> {
  const lines = (await Deno.readTextFile(new URL(".dockerignore", ROOT))).split("\n");
  const names = lines.filter((line) => line.startsWith("**/")).map((line) => line.slice(3));
  assert.ok(names.length > 0);
  return new RegExp(`^(${names.map((name) => name.replace("*", ".*")).join("|")})$`);
}

async function copy(from: URL, to: string, ignored: RegExp): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(from, to);
    return;
  }
  for await (const { name } of Deno.readDir(from)) {
    if (ignored.test(name)) continue;
    await copy(new URL(`${from.href}/${name}`), `${to}/${name}`, ignored);
  }
}

/** Puts the image's files into a folder; `/app` and `/data` of its permissions are folders there. */
async function layOut({ copies }: Image, app: string, data: string): Promise<void> {
  const ignored = await readIgnored();
  for (const [from, to] of copies) await copy(new URL(from, ROOT), `${app}/${to}`, ignored);
  const config = JSON.parse(await Deno.readTextFile(`${app}/deno.json`));
  const { container } = config.permissions;
  const inside = (folder: string) => folder.replace(/^\/app$/, app).replace(/^\/data$/, data);
  container.read = container.read.map(inside);
  container.write = container.write.map(inside);
  assert.deepEqual([container.read, container.write], [[app, data], [data]]);
  await Deno.writeTextFile(`${app}/deno.json`, JSON.stringify(config));
}

async function cacheFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

const hasWget = await new Deno.Command("sh", { args: ["-c", "command -v wget"] }).output()
  .then(({ success }) => success);

/** Runs the image's command, with changes going to `to`, until a row has been flushed. */
async function serveImage(
  to: string,
  arrives: (data: string, base: string) => Promise<unknown>,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "lakesync-image-" }));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const [app, data] = [`${folder}/app`, `${folder}/data`];
  await Deno.mkdir(data);
  const image = await readImage();
  await layOut(image, app, data);
  const port = freePort();
  const env = {
    ...image.env,
    PATH: Deno.env.get("PATH") ?? "",
    DENO_DIR: await cacheFolder(),
    LAKESYNC_DATA: image.env.LAKESYNC_DATA?.replace("/data", data) ?? "",
    LAKESYNC_PORT: String(port),
    LAKESYNC_SECRET: SECRET,
    LAKESYNC_TO: to,
    ...more,
  };
  const [program = "", ...args] = image.command;
  assert.equal(program, "deno");
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env,
    clearEnv: true,
    cwd: app,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let isOver = false;
  const output = child.output().finally(() => isOver = true);
  const text = async () => {
    const { stdout, stderr } = await output;
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  };
  try {
    const base = `http://127.0.0.1:${port}`;
    await until("it is alive", async () => {
      if (isOver) assert.fail(await text());
      if (!hasWget) return await isAlive(`${base}/livez`);
      const check = { args: ["-c", image.healthCheck], env };
      return (await new Deno.Command("sh", check).output()).success;
    });
    await serves(base);
    await arrives(data, base);
    child.kill("SIGTERM");
    const { code } = await output;
    assert.equal(code, 0, await text());
    assert.doesNotMatch(await text(), /NotCapable|Requires \w+ access|thread cannot start/);
  } finally {
    if (!isOver) child.kill("SIGKILL");
    await output;
  }
}

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    "the image's command serves, flushes and ends as it should",
    ({ url }) =>
      serveImage(url, () =>
        until("the row is in the database", async () => {
          const rows = await query(url, "SELECT id, owner FROM todos").catch(() => []);
          return JSON.stringify(rows) === `[{"id":"t1","owner":"alice"}]`;
        }, 30_000)),
  );
}

/** Where the catalog says that the table of changes is, which has one row. */
async function servedLocation(base: string): Promise<string> {
  const token = await signToken({ secret: SECRET, sub: "bi", gw: "default", role: "admin" });
  const path = "v1/iceberg/v1/lake/namespaces/default/tables/todos__changes";
  const response = await fetch(`${base}/${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { metadata } = await response.json();
  assert.equal(metadata.snapshots.at(-1).summary["added-records"], "1");
  return metadata.location;
}

Deno.test("the image's command flushes to a lake with the permissions that it has", () =>
  serveImage("lake", async (data, base) => {
    const location = await servedLocation(base);
    assert.ok(location.startsWith(`file://${data}/lake/`), location);
  }));

const s3 = await findS3();

Deno.test({
  name: "the image's command flushes to a bucket with the permissions that it has",
  ignore: "missing" in s3,
  fn: async () => {
    await using server = await startS3();
    const { endpoint, region, accessKeyId, secretAccessKey } = server.access;
    const bucket = await server.createBucket();
    await serveImage(`s3://${bucket}/{gateway}`, async (_, base) => {
      const location = await servedLocation(base);
      assert.ok(location.startsWith(`s3://${bucket}/default/`), location);
    }, {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
  },
});

async function isAlive(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { method: "HEAD" });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Sets a gateway up, and pushes a row. */
async function serves(base: string): Promise<void> {
  const send = async (method: string, path: string, body: object, sub: string, role?: "admin") => {
    const token = await signToken({
      secret: SECRET,
      sub,
      gw: "default",
      ...(role === undefined ? {} : { role }),
    });
    const response = await fetch(`${base}/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, text);
    return JSON.parse(text);
  };
  await send("PUT", "admin/schema/default", SCHEMA, "admin", "admin");
  await send("PUT", "admin/sync-rules/default", OPEN_RULES, "admin", "admin");
  const deltas = [{ op: "INSERT", table: "todos", rowId: "t1", columns: { owner: "alice" } }];
  const push = { clientId: "c1", schemaVersion: 1, transactions: [{ mutationId: 1, deltas }] };
  const { lastMutationId, rejected } = await send("POST", "sync/default/push", push, "alice");
  assert.deepEqual([lastMutationId, rejected], [1, []]);
  await send("POST", "admin/flush/default", {}, "admin", "admin");
}

Deno.test("image and compose file set only variables that the command reads", async () => {
  const known = new Set(SERVE_SETTINGS.flatMap(({ env }) => env ?? []));
  const text = await Deno.readTextFile(new URL("docker-compose.yml", ROOT));
  const { services, volumes } = parse(text);
  const { gateway, postgres } = services;
  const { env } = await readImage();
  const set = [...Object.keys(env), ...Object.keys(gateway.environment)];
  assert.deepEqual(set.filter((name) => !known.has(name)), []);
  const { permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  assert.deepEqual(permissions.container.env, permissions.server.env);
  // The address that the gateway flushes to is that of the other service.
  const password = "p4ssword";
  const filled = (value: string) => value.replaceAll(/\$\{POSTGRES_PASSWORD:\?[^}]*\}/g, password);
  const to = new URL(filled(gateway.environment.LAKESYNC_TO));
  const { POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD } = postgres.environment;
  assert.deepEqual(
    [to.protocol, to.hostname, to.port, to.username, to.pathname, to.password],
    ["postgres:", "postgres", "5432", POSTGRES_USER, `/${POSTGRES_DB}`, filled(POSTGRES_PASSWORD)],
  );
  assert.equal(to.password, password);
  const mounts = [...gateway.volumes, ...postgres.volumes].map((mount) => mount.split(":"));
  assert.deepEqual(mounts.map(([name]) => name).sort(), Object.keys(volumes).sort());
  assert.equal(mounts[0]?.[1], env.LAKESYNC_DATA);
  assert.equal(gateway.ports[0].split(":").at(-1), "8787");
});
