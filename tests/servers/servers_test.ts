import assert from "node:assert/strict";
import { startMariadb } from "./mariadb.ts";
import { startPostgres } from "./postgres.ts";
import { freePort } from "./port.ts";
import { childrenOf, isAlive, pause } from "./processes.ts";
import type { DatabaseServer } from "./server.ts";
import { openSession, query } from "./testing_sql.ts";
import { databaseTest, isMissing, type Product } from "./tests.ts";

const START = { postgres: startPostgres, mariadb: startMariadb };
const PREFIX: Readonly<Record<Product, string>> = { postgres: "postgres", mariadb: "mysql" };

const GONE_MS = 60_000;
const HELD_MS = 100;

async function processes(server: DatabaseServer): Promise<number[]> {
  return [server.pid, ...await childrenOf(server.pid)];
}

/** The processes that made the System V shared memory there is, where the system tells. */
async function memoryMakers(): Promise<number[]> {
  if (Deno.build.os !== "linux") return [];
  const [, ...lines] = (await Deno.readTextFile("/proc/sysvipc/shm")).trim().split("\n");
  return lines.map((line) => Number(line.trim().split(/\s+/)[4]));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function assertRefuses(url: string, statement: string): Promise<void> {
  await assert.rejects(query(url, statement));
}

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(product, "databaseTest gives each test an empty database", async ({ url }) => {
    assert.ok(url.startsWith(`${PREFIX[product]}://`));
    await query(url, "CREATE TABLE notes (n bigint)");
    await query(url, "INSERT INTO notes VALUES (1)");
  });

  databaseTest(
    product,
    "databaseTest shares the server, not the tables",
    async ({ url, server }) => {
      await assertRefuses(url, "SELECT n FROM notes");
      const other = await server.createDatabase();
      await query(url, "CREATE TABLE notes (n bigint)");
      await assertRefuses(other, "SELECT n FROM notes");
    },
  );

  databaseTest(product, "a server lets nobody in without the password", async ({ url }) => {
    for (const user of [new URL(url).username, "postgres", "root"]) {
      const guess = new URL(url);
      guess.username = user;
      guess.password = "";
      await assertRefuses(guess.href, "SELECT 1");
    }
  });

  databaseTest(
    product,
    "kill and restart keep what was committed",
    async ({ url, server }) => {
      await query(url, "CREATE TABLE notes (n int)");
      for (const [n, signal] of (["SIGKILL", "SIGTERM", "SIGKILL"] as const).entries()) {
        await query(url, `INSERT INTO notes VALUES (${n})`);
        const ids = await processes(server);
        await server.kill(signal);
        for (const id of ids) assert.equal(await isAlive(id), false);
        assert.equal((await memoryMakers()).some((id) => ids.includes(id)), false);
        await assertRefuses(url, "SELECT 1");
        await server.restart();
      }
      await query(url, "INSERT INTO notes VALUES (3)");
      await server.restart();
      const rows = await query(url, "SELECT n FROM notes ORDER BY n");
      assert.deepEqual(rows, [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);
      assert.match(await server.log(), /recover/i);
    },
    { own: {} },
  );

  databaseTest(product, "SIGSTOP holds every session until SIGCONT", async ({ url, server }) => {
    await using session = await openSession(url);
    await session.query("SELECT 1 AS n");
    await server.kill("SIGSTOP");
    let answers = 0;
    const all = Promise.all([session.query("SELECT 1 AS n"), query(url, "SELECT 2 AS n")].map(
      (answer) => answer.finally(() => answers++),
    ));
    const patience = Promise.withResolvers<void>();
    const timer = setTimeout(patience.resolve, HELD_MS);
    await Promise.race([all, patience.promise]);
    clearTimeout(timer);
    const early = answers;
    await server.kill("SIGCONT");
    assert.equal(early, 0);
    assert.deepEqual(await all, [[{ n: 1 }], [{ n: 2 }]]);
  });

  Deno.test({
    name: `two servers run side by side, and stop leaves nothing of them (${product})`,
    ignore: isMissing(product),
    fn: async () => {
      const servers = await Promise.all([START[product](), START[product]()]);
      assert.notEqual(servers[0].url, servers[1].url);
      for (const { url } of servers) {
        assert.deepEqual(await query(url, "SELECT 1 AS n"), [{ n: 1 }]);
      }
      await servers[1].kill("SIGSTOP");
      const ids = (await Promise.all(servers.map(processes))).flat();
      await Promise.all(servers.map((server) => server.stop()));
      for (const id of ids) assert.equal(await isAlive(id), false);
      for (const { folder } of servers) assert.equal(await isThere(folder), false);
    },
  });

  Deno.test({
    name: `a server whose test was killed ends, and its folder goes (${product})`,
    ignore: isMissing(product),
    fn: async () => {
      const { pathname } = new URL("testing_orphan.ts", import.meta.url);
      const test = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", decodeURIComponent(pathname), product],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = test.stdout.getReader();
      const { pid, folder } = JSON.parse(new TextDecoder().decode((await reader.read()).value));
      await reader.cancel();
      const ids = [pid, ...await childrenOf(pid)];
      const started = await isAlive(pid);
      test.kill("SIGKILL");
      await test.status;
      assert.ok(started);
      const deadline = performance.now() + GONE_MS;
      while (await isThere(folder) && performance.now() < deadline) await pause();
      assert.equal(await isThere(folder), false);
      for (const id of ids) assert.equal(await isAlive(id), false);
    },
  });
}

Deno.test("a server takes another port when somebody else has taken the first", {
  ignore: isMissing("postgres"),
}, async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: freePort() });
  const { port } = taken.addr;
  try {
    const choices = [port, port, freePort()];
    await using server = await startPostgres({
      durable: false,
      choosePort: () => choices.shift() ?? freePort(),
    });
    assert.notEqual(new URL(server.url).port, String(port));
    assert.deepEqual(choices, []);
    assert.match(await server.log(), /Address already in use/);
  } finally {
    taken.close();
  }
});

Deno.test("a server that does not start says what it logged, and leaves nothing", {
  ignore: isMissing("postgres"),
}, async () => {
  await assert.rejects(
    startPostgres({ settings: { shared_buffers: "nothing" } }),
    /invalid value for parameter "shared_buffers"/,
  );
});

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    "query reads a double with all its digits",
    async ({ url }) => {
      const written = [9.692030038639565, 99.28114713854201, 5e-324, 1.7976931348623157e308, 0.1];
      const type = product === "postgres" ? "double precision" : "double";
      await query(url, `CREATE TABLE doubles (i int PRIMARY KEY, d ${type})`);
      const rows = written.map((value, i) => `(${i}, ${value.toExponential()})`);
      await query(url, `INSERT INTO doubles VALUES ${rows.join(", ")}`);
      const read = await query(url, "SELECT d FROM doubles ORDER BY i");
      assert.deepEqual(read.map(({ d }) => d), written);
    },
  );
}
