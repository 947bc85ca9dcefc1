import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { openKvStores } from "../store/kv.ts";
import { openSqliteStores } from "../store/sqlite.ts";
import { BackedUpStores } from "../store/testing_backups.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { at, delta, openFixture, push, tx } from "./testing_fixture.ts";

for (const open of [openSqliteStores, openKvStores]) {
  Deno.test(`a cursor is what was saved last, after the gateway was opened again (${open.name})`, async () => {
    await using folder = await tempFolder();
    {
      await using fixture = await openFixture(await open(folder.path));
      const { cursors } = fixture.gateway;
      assert.equal(await cursors.loadCursor("source:crm"), undefined);
      await cursors.saveCursor("source:crm", "a");
      fixture.clock.ms += 1_000;
      await cursors.saveCursor("source:crm", "b");
      await cursors.saveCursor("destination:lake", "");
    }
    await using fixture = await openFixture(await open(folder.path));
    const { cursors } = fixture.gateway;
    assert.equal(await cursors.loadCursor("source:crm"), "b");
    assert.deepEqual(
      (await cursors.list()).map(({ name, value, savedMs }) => [name, value, savedMs % 10_000]),
      [["destination:lake", "", 1_000], ["source:crm", "b", 1_000]],
    );
  });
}

Deno.test("a cursor that was reset is not there, and resetting it again says so", async () => {
  await using fixture = await openFixture();
  const { cursors } = fixture.gateway;
  await cursors.saveCursor("a", "1");
  await cursors.saveCursor("b", "2");
  assert.deepEqual([await cursors.reset("a"), await cursors.reset("a")], [true, false]);
  assert.equal(await cursors.loadCursor("a"), undefined);
  assert.deepEqual((await cursors.list()).map(({ name }) => name), ["b"]);
});

Deno.test("saving cursors moves no head and stops no push", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const commits: number[] = [];
  const stop = gateway.onCommit(({ seq }) => commits.push(seq));
  await Promise.all([
    gateway.cursors.saveCursor("a", "1"),
    push(gateway, "c", [tx(1, delta("INSERT", "t1", at(0), { title: "x" }))]),
    gateway.cursors.saveCursor("b", "2"),
    push(gateway, "c", [tx(1), tx(2, delta("INSERT", "t2", at(1), { title: "y" }))]),
    gateway.cursors.saveCursor("a", "3"),
  ]);
  stop();
  assert.deepEqual(commits.at(-1), 2);
  assert.equal((await gateway.stats()).seq, 2);
  assert.equal(await gateway.cursors.loadCursor("a"), "3");
});

Deno.test("G11: names, values and the number of cursors have limits", async () => {
  await using fixture = await openFixture(new BackedUpStores().open());
  const { cursors } = fixture.gateway;
  const refused = (name: string, value: string) =>
    assert.rejects(
      cursors.saveCursor(name, value),
      (error) => error instanceof LakeSyncError && error.code === "VALIDATION_ERROR",
    );
  for (const name of ["", " a", "a b", "-a", "a".repeat(129)]) await refused(name, "");
  await refused("a", "x".repeat(16_385));
  for (let i = 0; i < 256; i++) await cursors.saveCursor(`c${i}`, "x".repeat(16));
  await refused("one-more", "");
  await cursors.saveCursor("c7", "again");
  assert.equal((await cursors.list()).length, 256);
});
