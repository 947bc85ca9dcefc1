/** Backups of a data folder by the command, and what becomes of clients after they are restored. */

import assert from "node:assert/strict";
import { createGateway } from "./backup_gateway.ts";
import { done, lakesync } from "./backup_site.ts";
import { statusOf, synced, until } from "./wait.ts";
import { readKeyFile } from "../../server/auth/key_file.ts";
import { converged, NOTES, rowsOf, SECRET, World } from "./world.ts";
import { has, write } from "./notes.ts";

/** A time that has passed and is after another one, both in whole milliseconds. */
async function laterThan(time: Date): Promise<Date> {
  await until("the next millisecond", () => Date.now() > time.getTime() + 1);
  return new Date(time.getTime() + 1);
}

/** Stops the gateway hard, and restores a backup in place of its data. */
async function restore(world: World, ...more: readonly string[]): Promise<string> {
  await world.server.kill();
  await Deno.rename(`${world.folder}/gateway`, `${world.folder}/old`);
  const printed = await done(
    ...["restore", "--from", `${world.folder}/backup`, "--data", `${world.folder}/gateway`],
    ...more,
  );
  await world.server.start();
  return printed;
}

function backUp(world: World, ...more: readonly string[]): Promise<string> {
  return done(
    "backup",
    "--data",
    `${world.folder}/gateway`,
    "--out",
    `${world.folder}/backup`,
    ...more,
  );
}

Deno.test("G13: a backup made while the gateway runs and writes is one commit of it", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "first");
  await synced(a);
  let isOver = false;
  let written = 1;
  const writing = (async () => {
    while (!isOver) await write(a, `n${written++}`);
  })();
  const printed = await backUp(world);
  isOver = true;
  await writing;
  await synced(a);
  assert.match(printed, /^default: commit \d+, last committed \S+Z; \d+ rows, \d+ log entries/);
  assert.match(await done("backup", "verify", `${world.folder}/backup`), /OK\n$/);
  const manifest = JSON.parse(await Deno.readTextFile(`${world.folder}/backup/manifest.json`));
  const [{ seq, rows, logEntries }] = manifest.gateways;
  assert.equal(rows, logEntries, "each commit has brought one row");
  assert.ok(seq >= 1 && seq <= written);
  const { epoch } = await world.stats();
  await restore(world);
  assert.notEqual((await world.stats()).epoch, epoch);
  await until("all rows", async () => (await world.stats()).tables["notes"]?.rows === written);
  const fresh = await world.notes("fresh");
  await has(fresh, written);
  await converged("notes", [fresh, a]);
});

Deno.test("G13: a cursor from before a restore is of another epoch, also where nothing was lost", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1", "a2");
  await synced(a);
  await has(a, 2);
  await a.close();
  await backUp(world);
  const token = await world.token("alice");
  const pull = async (cursor = "") => {
    const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const response = await fetch(
      `${world.server.url}/v1/sync/default/pull?clientId=curl${query}`,
      { headers: { authorization: `Bearer ${token}` } },
    );
    return { status: response.status, body: await response.json() };
  };
  const { body } = await pull();
  assert.equal((await pull(body.cursor)).status, 200);
  await restore(world);
  const { status, body: refusal } = await pull(body.cursor);
  assert.deepEqual([status, refusal.code], [410, "RESYNC_REQUIRED"]);
  const anew = await pull();
  assert.equal(anew.body.changes.length, 2);
  assert.equal((await pull(anew.body.cursor)).status, 200);
});

Deno.test("G13: a client gives back what the backup did not have, with its original stamps", async () => {
  await using world = await World.open();
  const [a, b] = [await world.notes("a"), await world.notes("b")];
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  // Written first and given back last, this one must lose.
  await a.exec("UPDATE notes SET title = 'older' WHERE id = 'a1'");
  await synced(a);
  a.pause();
  await statusOf(a, ({ state }) => state === "paused");
  await until("the edit", async () => (await b.tables.notes.get("a1"))?.title === "older");
  await b.exec("UPDATE notes SET title = 'newer' WHERE id = 'a1'");
  await write(b, "b1");
  await synced(b);
  await restore(world);
  await until("b's rows", async () => (await world.stats()).tables["notes"]?.rows === 2);
  a.resume();
  await Promise.all([synced(a), synced(b)]);
  await has(a, 2);
  assert.deepEqual(await converged("notes", [a, b]), [["a1", "newer", null], ["b1", "b1", null]]);
  await until("both edits", async () => (await world.stats()).log.entries === 4);
});

Deno.test("lakesync backup refuses a folder that is there, and what is no data folder", async () => {
  await using world = await World.open();
  await Deno.mkdir(`${world.folder}/backup`);
  const data = `${world.folder}/gateway`;
  const there = await lakesync("backup", "--data", data, "--out", `${world.folder}/backup`);
  assert.equal(there.code, 1);
  assert.match(there.stderr, /is there already/);
  const none = await lakesync("backup", "--data", world.folder, "--out", `${world.folder}/other`);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /There are no gateways/);
  const half = await lakesync("backup", "verify", `${world.folder}/backup`);
  assert.equal(half.code, 1);
  assert.match(half.stderr, /has no manifest.json/);
  await backUp(world, "--out", `${world.folder}/whole`);
  const again = ["backup", "--data", `${world.folder}/whole`, "--out", `${world.folder}/other`];
  const copied = await lakesync(...again);
  assert.equal(copied.code, 1);
  assert.match(copied.stderr, /is a backup, copy it/);
  assert.match(await done("backup", "verify", `${world.folder}/whole`), /OK\n$/);
  const unknown = await lakesync(
    "backup",
    "--data",
    data,
    "--out",
    `${world.folder}/other`,
    "--gw",
    "x",
  );
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /There is no gateway x/);
});

Deno.test("lakesync restore refuses folders with data, and backups that are not whole", async () => {
  await using world = await World.open();
  await backUp(world);
  const from = `${world.folder}/backup`;
  const used = await lakesync("restore", "--from", from, "--data", `${world.folder}/gateway`);
  assert.equal(used.code, 1);
  assert.match(used.stderr, /is not empty/);
  const [name] = await Array.fromAsync(Deno.readDir(`${from}/gateways`), ({ name }) => name);
  const file = `${from}/gateways/${name}`;
  const bytes = await Deno.readFile(file);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  await Deno.writeFile(file, bytes);
  const changed = await lakesync("restore", "--from", from, "--data", `${world.folder}/new`);
  assert.equal(changed.code, 1);
  assert.match(changed.stderr, /is not what the backup's manifest says/);
  const manifest = JSON.parse(await Deno.readTextFile(`${from}/manifest.json`));
  const [gateway] = manifest.gateways;
  for (
    const gateways of [
      [{ ...gateway, gatewayId: "other" }],
      [{ ...gateway, file: "lock" }],
      [gateway, gateway],
    ]
  ) {
    await Deno.writeTextFile(`${from}/manifest.json`, JSON.stringify({ ...manifest, gateways }));
    const { code, stderr } = await lakesync("backup", "verify", from);
    assert.equal(code, 1);
    assert.match(stderr, /manifest.json is damaged/);
  }
  await assert.rejects(Deno.stat(`${world.folder}/new`), Deno.errors.NotFound);
});

Deno.test("lakesync serve does not serve half a restore, and a restore may be begun again", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  await world.server.kill();
  await Deno.rename(`${world.folder}/gateway`, `${world.folder}/old`);
  const data = `${world.folder}/gateway`;
  await Deno.mkdir(`${data}/gateways`, { recursive: true });
  await Deno.writeTextFile(`${data}/restore-unfinished`, "");
  await Deno.writeTextFile(`${data}/gateways/half.db`, "half");
  const served = await lakesync("serve", "--data", data, "--port", "0");
  assert.equal(served.code, 1);
  assert.match(served.stderr, /a restore that did not come to its end/);
  await done("restore", "--from", `${world.folder}/backup`, "--data", data);
  await world.server.start();
  assert.equal((await world.stats()).tables["notes"]?.rows, 1);
});

Deno.test("lakesync backup holds secrets only when told to", async () => {
  await using world = await World.open();
  const data = `${world.folder}/gateway`;
  await Deno.writeTextFile(`${data}/secret`, "a secret of at least thirty-two characters\n");
  await done("keys", "retire", "leaked", "--data", data);
  await done("keys", "retire", "secret", "--data", data, "--secret", SECRET);
  await backUp(world);
  await assert.rejects(Deno.stat(`${world.folder}/backup/secret`), Deno.errors.NotFound);
  // What was withdrawn stays so after a restore, and no secret is told for that.
  await done("restore", "--from", `${world.folder}/backup`, "--data", `${world.folder}/bare`);
  const { keys, endings, withdrawn } = await readKeyFile(`${world.folder}/bare/keys.json`);
  assert.deepEqual([keys.length, endings.length, withdrawn[0]?.kid], [0, 1, "leaked"]);
  // What was withdrawn since is told by the old folder.
  const kid = (await done("keys", "rotate", "--data", data)).trim();
  await done("backup", "--data", data, "--out", `${world.folder}/before`, "--with-secrets");
  await done("keys", "rotate", "--data", data);
  await done("keys", "retire", kid, "--data", data);
  const earlier = ["restore", "--from", `${world.folder}/before`, "--data", `${world.folder}/to`];
  await done(...earlier, "--log", data, "--to", new Date().toISOString());
  const then = await readKeyFile(`${world.folder}/to/keys.json`);
  assert.deepEqual(then.withdrawn.map((past) => past.kid), ["leaked", kid]);
  assert.ok(!then.keys.some((key) => key.kid === kid || key.endsMs === undefined));
  await done("backup", "--data", data, "--out", `${world.folder}/whole`, "--with-secrets");
  assert.equal(((await Deno.stat(`${world.folder}/whole/secret`)).mode ?? 0) & 0o777, 0o600);
  await done("restore", "--from", `${world.folder}/whole`, "--data", `${world.folder}/new`);
  const secret = `${world.folder}/new/secret`;
  assert.match(await Deno.readTextFile(secret), /^a secret of/);
  assert.equal(((await Deno.stat(secret)).mode ?? 0) & 0o777, 0o600);
});

Deno.test("G13: a restore to a time has what was there then, from the log of the old folder", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1", "a2");
  await synced(a);
  await backUp(world);
  await a.exec("UPDATE notes SET title = 'edited' WHERE id = 'a1'");
  await a.exec("DELETE FROM notes WHERE id = 'a2'");
  await write(a, "a3");
  await synced(a);
  const to = await laterThan(new Date());
  await write(a, "a4");
  await a.exec("DELETE FROM notes WHERE id = 'a1'");
  await synced(a);
  await a.close();
  const old = `${world.folder}/old`;
  const printed = await restore(world, "--to", to.toISOString(), "--log", old);
  assert.match(
    printed,
    /^default: commit 5, last committed \S+, epoch \S+; 3 transactions replayed/,
  );
  const fresh = await world.notes("fresh");
  await has(fresh, 2);
  assert.deepEqual(await rowsOf(fresh, "notes"), [["a1", "edited", null], ["a3", "a3", null]]);
  await write(fresh, "f1");
  await synced(fresh);
  // By a newer backup, and to a commit.
  await done("backup", "--data", old, "--out", `${world.folder}/newer`);
  const further = await done(
    ...["restore", "--from", `${world.folder}/backup`, "--data", `${world.folder}/third`],
    ...["--log", `${world.folder}/newer`, "--to", "6"],
  );
  assert.match(further, /^default: commit 6, .*; 4 transactions replayed/);
});

Deno.test("lakesync restore --to refuses what the log does not know, and leaves the folder empty", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  const [from, data, log] = ["backup", "new", "gateway"].map((name) => `${world.folder}/${name}`);
  const refusal = async (to: string, message: RegExp, more: readonly string[] = []) => {
    const args = ["restore", "--from", from ?? "", "--data", data ?? "", "--to", to, ...more];
    const { code, stderr } = await lakesync(...args);
    assert.match(stderr, message);
    return code;
  };
  const logged = ["--log", log ?? ""];
  assert.equal(await refusal("yesterday", /--to is a time with its zone/, logged), 2);
  assert.equal(await refusal("2026-01-31T09:30:00", /--to is a time with its zone/, logged), 2);
  assert.equal(await refusal("5", /With --to give --log/), 2);
  assert.equal(await refusal("2020-01-31T09:30:00Z", /The backup is from after 2020-/, logged), 1);
  assert.equal(await refusal("2100-01-31T09:30:00Z", /knows nothing after/, logged), 1);
  assert.equal(await refusal("7", /The log ends with commit 1/, logged), 1);
  const left = await Array.fromAsync(Deno.readDir(data ?? ""), ({ name }) => name);
  assert.deepEqual(left, ["lock"]);
});

Deno.test("G13: whose device is denied before a restore to a time brings nothing back", async () => {
  await using world = await World.open();
  const [culprit, other] = [await world.notes("culprit"), await world.notes("other")];
  await write(other, "o1", "o2");
  await synced(other);
  await has(culprit, 2);
  await backUp(world);
  await write(other, "o3");
  await synced(other);
  await has(culprit, 3);
  const to = await laterThan(new Date());
  await culprit.exec("UPDATE notes SET title = 'spoiled'");
  await synced(culprit);
  await until("spoiled", async () => (await other.tables.notes.get("o1"))?.title === "spoiled");
  const clientId = await culprit.clientId();
  const address = ["--url", world.server.url, "--secret", SECRET];
  await done("access", "deny", "--client", clientId, ...address);
  const old = `${world.folder}/old`;
  await restore(world, "--to", to.toISOString(), "--log", old);
  await until("as before", async () => (await other.tables.notes.get("o1"))?.title === "o1");
  await write(other, "o4");
  await synced(other);
  const fresh = await world.notes("fresh");
  await has(fresh, 4);
  const rows = ["o1", "o2", "o3", "o4"].map((id) => [id, id, null]);
  assert.deepEqual(await converged("notes", [fresh, other]), rows);
  assert.equal((await world.stats()).log.entries, 4, "nothing of the culprit's came again");
});

Deno.test("lakesync restore reads the log of a folder that a server runs on", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  await write(a, "a2");
  await synced(a);
  const [from, data, log] = ["backup", "copy", "gateway"].map((name) => `${world.folder}/${name}`);
  const printed = await done(
    ...["restore", "--from", from ?? "", "--data", data ?? "", "--log", log ?? ""],
    ...["--to", new Date().toISOString()],
  );
  assert.match(printed, /^default: commit 2, .*; 1 transactions replayed/);
  await write(a, "a3");
  await synced(a);
});

Deno.test("lakesync backup and restore need no right but to their folders", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1");
  await synced(a);
  await world.server.kill();
  await Deno.rename(`${world.folder}/gateway`, `${world.folder}/lakesync-data`);
  const root = new URL("../../", import.meta.url).pathname;
  const rights = [`--allow-read=${root},./lakesync-data`, "--allow-write=./lakesync-data"];
  const run = async (...args: readonly string[]) => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-env", ...rights, `${root}server/main.ts`, ...args],
      cwd: world.folder,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
  };
  const folder = "./lakesync-data";
  await run("backup", "--out", `${folder}/backup`);
  await run("backup", "verify", `${folder}/backup`);
  const to = ["--to", "1", "--log", folder];
  await run("restore", "--from", `${folder}/backup`, "--data", `${folder}/restored`, ...to);
});

Deno.test("G13: each gateway is restored to the time, also one that was made after the backup", async () => {
  await using world = await World.open();
  const into = async (gateway: string, ...ids: readonly string[]) => {
    await world.putSchema(NOTES, gateway);
    const client = await world.client(gateway, { schema: NOTES, gateway });
    await write(client, ...ids);
    await synced(client);
    await client.close();
  };
  await into("Shop", "s1");
  await backUp(world);
  await into("later", "l1", "l2");
  const to = await laterThan(new Date());
  await into("never", "n1");
  const printed = await restore(
    world,
    ...["--to", to.toISOString(), "--log", `${world.folder}/old`],
  );
  assert.deepEqual(printed.split("\n").map((line) => line.split(":")[0]), [
    "Shop",
    "default",
    "later",
    "",
  ]);
  const rowsIn = async (gateway: string) => (await world.stats(gateway)).tables?.["notes"]?.rows;
  assert.deepEqual([await rowsIn("Shop"), await rowsIn("later")], [1, 2]);
  assert.equal(await rowsIn("never"), undefined);
  const one = `${world.folder}/one`;
  await done("backup", "--data", `${world.folder}/gateway`, "--out", one, "--gw", "Shop");
  const only = ["restore", "--from", one, "--data", `${world.folder}/only`];
  assert.match(await done(...only), /^Shop: commit \d+, epoch \S+\n$/);
});

Deno.test("G13: a restore to a time has the schema and the rules that held then", async () => {
  await using world = await World.open();
  const a = await world.notes("a", { role: "admin" });
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  const rules = (title: string) => ({
    buckets: [{
      name: "some",
      tables: ["notes"],
      filters: [
        { column: "title", op: "eq" as const, value: title },
      ],
    }],
    write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] as const }],
  });
  await world.putRules(rules("a2"));
  await write(a, "a2");
  await synced(a);
  const wider = { ...NOTES, version: 2, tables: { ...NOTES.tables, more: NOTES.tables.marks } };
  await world.putSchema(wider);
  const to = await laterThan(new Date());
  await world.putRules(rules("a1"));
  await a.close();
  await restore(world, "--to", to.toISOString(), "--log", `${world.folder}/old`);
  const token = await world.token("root", "default", {}, "admin");
  const ask = async (path: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return await (await fetch(`${world.server.url}/v1/admin/${path}/default`, { headers })).json();
  };
  assert.deepEqual(await ask("sync-rules"), rules("a2"));
  assert.equal((await ask("schema")).version, 2);
  const fresh = await world.notes("fresh");
  await has(fresh, 1);
  assert.deepEqual(await rowsOf(fresh, "notes"), [["a2", "a2", null]]);
});

Deno.test("G13: a folder of the store kv is backed up beside its server, and restored", async () => {
  let folder = "";
  await using gateway = await createGateway(8_000, "kv", async (data) => {
    folder = data.slice(0, data.lastIndexOf("/"));
    const printed = await done("backup", "--data", data, "--out", `${folder}/half`);
    assert.match(printed, /^default: commit 2, last committed \S+; 4000 rows, 2 log entries/);
  });
  const { data } = gateway;
  await done("backup", "--data", data, "--out", `${folder}/backup`);
  const names = await Array.fromAsync(Deno.readDir(`${folder}/backup`), ({ name }) => name);
  assert.deepEqual(names.sort(), ["gateways", "lakesync.kv", "manifest.json"]);
  assert.match(await done("backup", "verify", `${folder}/backup`), /OK\n$/);
  const restored = `${folder}/restored`;
  const printed = await done("restore", "--from", `${folder}/half`, "--data", restored);
  assert.match(printed, /^default: commit 2, epoch \S+\n$/);
  assert.equal(await gateway.rowsIn(restored), 4_000);
  await done("restore", "--from", `${folder}/backup`, "--data", `${folder}/whole`);
  assert.equal(await gateway.rowsIn(`${folder}/whole`), 8_000);
  const args = ["restore", "--from", `${folder}/half`, "--data", `${folder}/new`];
  const { code, stderr } = await lakesync(...args, "--to", "3", "--log", data);
  assert.equal(code, 1);
  assert.match(stderr, /No log is replayed onto a backup of the store kv/);
});

Deno.test("G13: a client that was refused before and after the time of a restore goes on", async () => {
  await using world = await World.open();
  await world.putRules({
    buckets: [{ name: "all", tables: ["*"] }],
    write: [{ tables: ["notes"], ops: ["INSERT", "UPDATE", "DELETE"] }],
  });
  const a = await world.notes("a");
  const refused = (count: number) =>
    until(`${count} refusals`, async () => (await a.deadLetters()).length === count);
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  await a.exec("INSERT INTO marks VALUES (1, 'refused')");
  await write(a, "a2");
  await a.exec("INSERT INTO marks VALUES (2, 'refused')");
  await refused(2);
  const to = await laterThan(new Date());
  await a.exec("INSERT INTO marks VALUES (3, 'refused')");
  await write(a, "a3");
  await refused(3);
  await synced(a);
  const old = `${world.folder}/old`;
  await restore(world, "--to", to.toISOString(), "--log", old);
  await until("given back", async () => (await world.stats()).tables["notes"]?.rows === 3);
  await write(a, "a4");
  await synced(a);
  const fresh = await world.notes("fresh");
  await has(fresh, 4);
  const rows = ["a1", "a2", "a3", "a4"].map((id) => [id, id, null]);
  assert.deepEqual(await converged("notes", [fresh, a]), rows);
  assert.deepEqual([(await a.deadLetters()).length, await rowsOf(fresh, "marks")], [3, []]);
  assert.equal((await world.stats()).log.entries, 4);
});
