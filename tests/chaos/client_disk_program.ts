/**
 * A device whose disk becomes full, has space again, and is mounted read-only. Runs in a mount
 * namespace of its own, where the folder it is given is a small tmpfs. Fails with what was wrong.
 *
 * `client_disk_program.ts FOLDER URL TOKEN`
 *
 * @module
 */

import assert from "node:assert/strict";
import { createClient, isDiskFull, isUnwritable } from "@lakesync/client";
import { statusOf, synced, until } from "../e2e/wait.ts";
import { fastTimers } from "../e2e/world.ts";
import { type DeviceClient, isTorn, readTally, SCHEMA, writeOne } from "./client_workload.ts";

const [folder = "", url = "", token = ""] = Deno.args;
const TIMES = 10;
const MOST_WRITES = 2_000;
/** So many transactions hold a large one among them, which no disk without space takes. */
const OTHERS_WRITES = 45;

function open(database: string): Promise<DeviceClient> {
  return createClient({
    url,
    gateway: "default",
    database,
    schema: SCHEMA,
    getToken: () => token,
    environment: { setTimer: fastTimers(TIMES) },
  });
}

/** Takes all the space there is. */
async function fill(): Promise<void> {
  using ballast = await Deno.open(`${folder}/ballast`, { create: true, append: true });
  for (const bytes of [64 * 1024, 1024, 1]) {
    try {
      for (;;) await ballast.write(new Uint8Array(bytes));
    } catch (error) {
      assert.match(String(error), /No space left/);
    }
  }
}

async function writeUntilFull(client: DeviceClient, written: number): Promise<number> {
  for (let n = written + 1; n < MOST_WRITES; n++) {
    try {
      await writeOne(client, "a", n);
    } catch (error) {
      assert.ok(isDiskFull(error), `a full disk was told as ${error}`);
      return n - 1;
    }
  }
  throw new Error("The disk never became full");
}

async function fullDisk(client: DeviceClient, other: DeviceClient): Promise<number> {
  for (let n = 1; n <= 5; n++) await writeOne(client, "a", n);
  await synced(client);
  await fill();
  const written = await writeUntilFull(client, 5);
  assert.equal(await readTally(client, "a"), written);
  assert.equal(await isTorn(client), false);
  await assert.rejects(client.exec("DELETE FROM entries"), isDiskFull);

  for (let n = 1; n <= OTHERS_WRITES; n++) await writeOne(other, "b", n);
  await synced(other);
  const { lastError } = await statusOf(client, ({ lastError }) => lastError?.code === "LOCAL");
  assert.match(lastError?.message ?? "", /full|disk I\/O/);
  assert.equal(await isTorn(client), false);
  assert.ok(await readTally(client, "b") < OTHERS_WRITES);

  await Deno.remove(`${folder}/ballast`);
  await until("the other's writes", async () => {
    assert.equal(await isTorn(client), false);
    return await readTally(client, "b") === OTHERS_WRITES;
  });
  await writeOne(client, "a", written + 1);
  await synced(client);
  await until("no error", () => client.status.value.lastError === undefined);
  return written + 1;
}

async function mount(mode: "ro" | "rw"): Promise<void> {
  const args = ["-o", `remount,${mode}`, folder];
  const { success, stderr } = await new Deno.Command("mount", { args, stderr: "piped" }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

async function readOnlyDisk(other: DeviceClient, written: number): Promise<void> {
  await mount("ro");
  await assert.rejects(open(`${folder}/a.db`), (error) => {
    assert.ok(isUnwritable(error), `a read-only disk was told as ${error}`);
    return true;
  });
  await mount("rw");
  await using client = await open(`${folder}/a.db`);
  await writeOne(client, "a", written + 1);
  await synced(client);
  await until("the last write", async () => await readTally(other, "a") === written + 1);
  assert.equal(await isTorn(other), false);
  assert.equal(await isTorn(client), false);
}

await using other = await open(":memory:");
let client = await open(`${folder}/a.db`);
let written: number;
try {
  written = await fullDisk(client, other);
} finally {
  await client.close();
}
await readOnlyDisk(other, written);

// Opened on a full disk, with nothing written there before.
await fill();
await assert.rejects(open(`${folder}/new.db`), isDiskFull);
await Deno.remove(`${folder}/ballast`);
client = await open(`${folder}/new.db`);
await synced(client);
await until("everything", async () => await readTally(client, "a") === written + 1);
await client.close();
console.log(`wrote ${written + 1}`);
