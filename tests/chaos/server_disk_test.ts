/**
 * The gateway's disk gets full while clients write, and has space again. The disk is a small file
 * system in memory that only the gateway process sees.
 */

import assert from "node:assert/strict";
import { signToken } from "../../server/auth/token.ts";
import { rowsOf } from "../e2e/world.ts";
import { synced, until } from "../e2e/wait.ts";
import { checkHistory, checkWhole, converge } from "./support_checks.ts";
import { openOnDisk } from "./support_disk.ts";
import { Ledger } from "./support_ledger.ts";
import { SECRET, type Site } from "./support_site.ts";
import { Tmpfs } from "./support_tmpfs.ts";
import { openWriters, stopAll } from "./support_writer.ts";

const MIB = 1 << 20;
const WRITERS = 3;
const WRITE_EVERY_MS = 40;

/** Some 8 MB, pushed in two parts. */
const LARGE_ROWS = 9_000;
const LARGE_MS = 60_000;

const ignore = await Tmpfs.isMissing();

async function marksOf(site: Site, name: string): Promise<Set<string>> {
  const client = await site.client(name);
  await until("a first checkpoint", () => client.status.value.lastCheckpoint !== undefined);
  await checkWhole(client);
  return new Set((await rowsOf(client, "marks")).map(([id]) => String(id)));
}

for (const store of ["sqlite", "kv"] as const) {
  Deno.test({
    name: `G1 G6 G11: a full disk refuses pushes until there is space, and nothing else (${store})`,
    ignore,
    fn: async () => {
      await using opened = await openOnDisk(store, 16 * MIB);
      const { site, disk } = opened;
      const ledger = new Ledger();
      const writers = await openWriters(site, WRITERS, { fetch: ledger.fetch });
      for (const writer of writers) writer.start(WRITE_EVERY_MS);
      assert.ok(await ledger.next(10, 15_000));

      await disk.fill();
      await until("pushes are refused", () => (ledger.errors.get("BACKPRESSURE") ?? 0) >= WRITERS);
      const { code, message } = writers[0]?.client.status.value.lastError ?? {};
      assert.deepEqual([code, message], [
        "BACKPRESSURE",
        "The disk of the gateway is full and nothing was written, free space on it and retry",
      ]);
      const told = await marksOf(site, "reads while it is full");
      assert.deepEqual([...ledger.acknowledged].filter((id) => id !== "" && !told.has(id)), []);

      await site.server.kill();
      await site.server.start();
      assert.deepEqual(await marksOf(site, "reads after a kill while it is full"), told);

      await disk.free();
      assert.ok(await ledger.next(WRITERS, 15_000), "no push is accepted though there is space");
      await stopAll(writers);
      await converge(writers);
      await checkHistory(site, writers, ledger);
      assert.deepEqual([...ledger.errors.keys()], ["BACKPRESSURE"]);
    },
  });
}

Deno.test({
  name: "a device is kept out also when the disk is full, until the restart as its answer says",
  ignore,
  fn: async () => {
    await using opened = await openOnDisk("sqlite", 8 * MIB);
    const { site, disk } = opened;
    const token = await signToken({ secret: SECRET, sub: "somebody", gw: "default" });
    const pull = async (clientId: string) => {
      const url = `${site.server.url}/v1/sync/default/pull?clientId=${clientId}`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      await answer.body?.cancel();
      return answer.status;
    };
    const deny = async (clientId: string) => {
      const clients = [clientId];
      const answer = await site.admin("POST", "access/default", { deny: { clients } });
      return { status: answer.status, body: await answer.json() };
    };
    assert.equal((await deny("before")).status, 200);
    await disk.fill();
    // Files that have room in them take some more.
    let number = 0;
    let last = await deny(`phone-${number}`);
    while (last.status === 200 && number < 10_000) last = await deny(`phone-${++number}`);
    assert.deepEqual([last.status, last.body.code], [503, "BACKPRESSURE"]);
    assert.match(last.body.error, /keeps the users and devices out .* until it restarts/);
    for (const name of ["before", "phone-0", `phone-${number}`]) {
      assert.equal(await pull(name), 403, name);
    }
    assert.equal(await pull("another"), 200);
    await disk.free();
    assert.equal((await deny("lost")).status, 200);
    await site.server.kill();
    await site.server.start();
    assert.equal(await pull("lost"), 403);
    assert.equal(await pull(`phone-${number}`), 200);
  },
});

Deno.test({
  name: "G5 G6: a transaction too large for the disk is nowhere in part, and waits for space",
  ignore,
  fn: async () => {
    await using opened = await openOnDisk("sqlite", 8 * MIB);
    const { site, disk } = opened;
    const ledger = new Ledger();
    const [writer] = await openWriters(site, 1, { fetch: ledger.fetch });
    if (writer === undefined) throw new Error("There is a writer");
    const { client } = writer;
    await writer.write();
    await synced(client);
    await client.exec(
      `WITH RECURSIVE k(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM k WHERE n < ${LARGE_ROWS})
       INSERT INTO notes SELECT 'large' || n, 'large', n, hex(randomblob(400)) FROM k`,
    );
    await writer.write();
    await until("it is refused", () => (ledger.errors.get("BACKPRESSURE") ?? 0) >= 2, LARGE_MS);
    assert.deepEqual(await marksOf(site, "reads while it is full"), new Set(["w0.1"]));
    await disk.resize(64 * MIB);
    await synced(client, LARGE_MS);
    const reader = await site.client("reads in the end");
    await until("all is there", async () => {
      const [row] = await reader.query("SELECT count(*) AS n FROM notes WHERE writer = 'large'");
      return row?.["n"] === LARGE_ROWS;
    }, LARGE_MS);
    assert.deepEqual([...ledger.errors.keys()], ["BACKPRESSURE"]);
  },
});
