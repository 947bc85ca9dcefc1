/** A gateway whose data folder was put back to an older copy. */

import assert from "node:assert/strict";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { converged, NOTES, World } from "./world.ts";
import { has, write } from "./notes.ts";

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const copy = isDirectory ? copyFolder : Deno.copyFile;
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Stops the gateway and keeps a copy of its data. */
async function backUp(world: World): Promise<void> {
  await world.server.stop();
  await copyFolder(`${world.folder}/gateway`, `${world.folder}/backup`);
  await world.server.start();
}

/** Stops the gateway, puts the copy back, and starts it. */
async function restore(world: World): Promise<void> {
  await world.server.stop();
  await Deno.remove(`${world.folder}/gateway`, { recursive: true });
  await Deno.rename(`${world.folder}/backup`, `${world.folder}/gateway`);
  await world.server.start();
}

Deno.test("G13: clients give a restored gateway back what it lost, without writing anything new", async () => {
  await using world = await World.open();
  const [a, b] = [await world.notes("a"), await world.notes("b")];
  await write(a, "a1");
  await has(b, 1);
  await backUp(world);
  await write(a, "a2", "a3");
  await write(b, "b1");
  await a.exec("UPDATE notes SET title = 'edited' WHERE id = 'a1'");
  await Promise.all([synced(a), synced(b)]);
  await has(a, 4);
  await has(b, 4);
  await restore(world);
  await until("the gateway has all rows", async () => {
    return (await world.stats()).tables["notes"]?.rows === 4;
  });
  await Promise.all([synced(a), synced(b)]);
  const fresh = await world.notes("fresh");
  await has(fresh, 4);
  await until("the edit", async () => (await fresh.tables.notes.get("a1"))?.title === "edited");
  assert.deepEqual(await converged("notes", [fresh, a, b]), [
    ["a1", "edited", null],
    ["a2", "a2", null],
    ["a3", "a3", null],
    ["b1", "b1", null],
  ]);
  assert.equal((await world.stats()).log.entries, 5);
});

Deno.test("G13: a client whose cursor the restored gateway has passed again is resynced", async () => {
  await using world = await World.open();
  const [reader, writer] = [await world.notes("reader"), await world.notes("writer")];
  await write(writer, "w1");
  await has(reader, 1);
  await backUp(world);
  const lost = await world.notes("lost");
  await write(lost, "lost");
  await synced(lost);
  await lost.close();
  await has(reader, 2);
  await has(writer, 2);
  reader.pause();
  await statusOf(reader, ({ state }) => state === "paused");
  await restore(world);
  await write(writer, "w2", "w3", "w4");
  await synced(writer);
  assert.ok(Number((await world.stats()).seq) > (reader.status.value.lastCheckpoint?.seq ?? 0));
  reader.resume();
  await has(reader, 4);
  assert.deepEqual(await converged("notes", [reader, writer]), [
    ["w1", "w1", null],
    ["w2", "w2", null],
    ["w3", "w3", null],
    ["w4", "w4", null],
  ]);
});

Deno.test("G13: what was written while the restored gateway was away arrives behind what it lost", async () => {
  await using world = await World.open();
  const a = await world.notes("a");
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  await write(a, "a2");
  await synced(a);
  a.pause();
  await write(a, "a3");
  await a.exec("UPDATE notes SET title = 'again' WHERE id = 'a2'");
  await restore(world);
  const other = await world.notes("other");
  await write(other, "o1", "o2", "o3");
  await synced(other);
  a.resume();
  await synced(a);
  await has(other, 6);
  assert.deepEqual(await converged("notes", [other, a]), [
    ["a1", "a1", null],
    ["a2", "again", null],
    ["a3", "a3", null],
    ["o1", "o1", null],
    ["o2", "o2", null],
    ["o3", "o3", null],
  ]);
});

Deno.test("G13: a gateway that lost everything is given back what clients wrote, once it has a schema", async () => {
  await using world = await World.open();
  const [a, b] = [await world.notes("a"), await world.notes("b")];
  await write(a, "a1", "a2");
  await synced(a);
  await has(b, 2);
  await write(b, "b1");
  await b.exec("DELETE FROM notes WHERE id = 'a2'");
  await synced(b);
  await has(a, 2);
  await world.server.stop();
  await Deno.remove(`${world.folder}/gateway`, { recursive: true });
  await world.server.start();
  await until("no schema", () => a.status.value.lastError?.code === "SCHEMA_ERROR");
  await write(a, "a3");
  await world.putSchema(NOTES);
  await Promise.all([synced(a), synced(b)]);
  await has(a, 3);
  assert.deepEqual(await converged("notes", [a, b]), [
    ["a1", "a1", null],
    ["a3", "a3", null],
    ["b1", "b1", null],
  ]);
  assert.equal(a.status.value.lastError, undefined);
});

Deno.test("G13: a gateway that was merely restarted resyncs nobody", async () => {
  await using world = await World.open();
  const client = await world.notes("client");
  await write(client, "n1");
  await synced(client);
  const { epoch } = await world.stats();
  await world.server.stop();
  await world.server.start();
  await statusOf(client, ({ state }) => state === "live");
  assert.equal((await world.stats()).epoch, epoch);
  const stateBefore = client.status.value.lastCheckpoint?.seq;
  await write(client, "n2");
  await synced(client);
  assert.equal(stateBefore, 1);
  assert.equal(client.status.value.lastCheckpoint?.seq, 2);
});

Deno.test("G13: what was accepted but came back in no checkpoint before the restore is given back", async () => {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  const a = await world.notes("a", { url: proxy.url });
  await write(a, "a1");
  await synced(a);
  await backUp(world);
  proxy.treat = ({ kind }) => kind === "push" ? "pass" : "refuse";
  a.pause();
  a.resume();
  await write(a, "a2");
  await until("the answer", async () => (await a.pendingCount()) === 0);
  assert.equal(a.status.value.pending, 1, "no checkpoint contains it");
  await restore(world);
  assert.equal((await world.stats()).tables["notes"]?.rows, 1);
  proxy.treat = () => "pass";
  await synced(a);
  assert.equal((await world.stats()).tables["notes"]?.rows, 2);
  assert.equal(a.status.value.pending, 0);
});
