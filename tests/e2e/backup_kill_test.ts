/** Backups and restores that are killed at random instants. */

import assert from "node:assert/strict";
import { createGateway } from "./backup_gateway.ts";
import { done, lakesync, start } from "./backup_site.ts";

const KILLS = Number(Deno.env.get("LAKESYNC_TEST_BACKUP_KILLS") ?? "6");
const ROWS = 40_000;

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Runs a command, and kills it after a time unless it has ended; tells whether it did. */
async function killed(afterMs: number, ...args: readonly string[]): Promise<boolean> {
  const child = start(...args);
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }, afterMs);
  const { success } = await child.output();
  clearTimeout(timer);
  return !success;
}

async function took(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

Deno.test(`G1: ${KILLS} SIGKILLs of a backup leave one that is whole, or that says it is not`, async () => {
  await using gateway = await createGateway(ROWS);
  const { folder, data } = gateway;
  const ms = await took(() => done("backup", "--data", data, "--out", `${folder}/whole`));
  let halves = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const out = `${folder}/backup${kill}`;
    const wasKilled = await killed(
      ms * (0.55 + 0.45 * Math.random()),
      ...["backup", "--data", data, "--out", out],
    );
    if (!await isThere(out)) continue;
    const { code, stderr } = await lakesync("backup", "verify", out);
    if (await isThere(`${out}/manifest.json`)) assert.equal(code, 0, stderr);
    else {
      halves++;
      assert.equal(code, 1);
      assert.match(stderr, /has no manifest.json/);
    }
    assert.ok(wasKilled || code === 0);
  }
  console.log(`${halves} of ${KILLS} killed backups were begun and are not whole`);
});

Deno.test(`G13: ${KILLS} SIGKILLs of a restore leave nothing that is served, or all of it`, async () => {
  await using gateway = await createGateway(ROWS);
  const { folder, data } = gateway;
  const from = `${folder}/backup`;
  await done("backup", "--data", data, "--out", from);
  const ms = await took(() => done("restore", "--from", from, "--data", `${folder}/whole`));
  let halves = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const to = `${folder}/data${kill}`;
    const args = ["restore", "--from", from, "--data", to];
    await killed(ms * (0.55 + 0.45 * Math.random()), ...args);
    if (await isThere(`${to}/restore-unfinished`)) {
      halves++;
      const { code, stderr } = await lakesync("serve", "--data", to, "--port", "0");
      assert.equal(code, 1);
      assert.match(stderr, /a restore that did not come to its end/);
    }
    const isDone = await isThere(`${to}/gateways`) && !await isThere(`${to}/restore-unfinished`);
    if (!isDone) await done(...args);
    assert.equal(await gateway.rowsIn(to), ROWS);
    await Deno.remove(to, { recursive: true });
  }
  console.log(`${halves} of ${KILLS} killed restores were begun and are not whole`);
});
