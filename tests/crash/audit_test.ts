/**
 * What the audit log tells of is on the disk before the answer to it, and there after a kill.
 */

import assert from "node:assert/strict";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { type Call, isAnswer, isSync, traced } from "./trace.ts";
import { hasTracer } from "./tracer.ts";

const SECRET = "audit tests use this secret of many characters";
const FLUSHES = 20;

async function adminOf(url: string) {
  const token = await signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
  const ask = async (method: string, path: string, id: string) => {
    const headers = { Authorization: `Bearer ${token}`, "X-Request-Id": id };
    const response = await fetch(`${url}/v1/admin/${path}`, { method, headers });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  };
  return {
    flush: (id: string) => ask("POST", "flush/default", id),
    entries: async (): Promise<readonly { readonly what: string; readonly requestId?: string }[]> =>
      (await ask("GET", "audit?limit=1000", "read")).entries,
  };
}

/** How many answers came after writes to the records that were not on the disk. */
function judge(calls: readonly Call[]): { readonly entries: number; readonly early: number } {
  let [entries, early] = [0, 0];
  let state: "clean" | "written" | "synced" = "clean";
  for (const call of calls) {
    if (call.file.endsWith("/server.db-wal")) {
      if (call.name === "pwrite64") state = "written";
      else if (isSync(call) && state === "written") state = "synced";
    } else if (isAnswer(call) && state !== "clean") {
      entries++;
      if (state === "written") early++;
      state = "clean";
    }
  }
  return { entries, early };
}

const tracer = await hasTracer();
if (!tracer) console.log("skipped: the order of fsync and answer needs strace on this machine");

Deno.test({
  name: "G1: an admin's answer leaves only after the fsync of its entry in the audit log",
  ignore: !tracer,
  fn: async () => {
    const data = await Deno.makeTempDir({ prefix: "lakesync-audit-" });
    await using server = new ServerProcess({ data, secret: SECRET });
    await server.start();
    const { flush } = await adminOf(server.url);
    const calls = await traced(server.pid ?? 0, async () => {
      for (let i = 0; i < FLUSHES; i++) await flush(`flush-${i}`);
    });
    const { entries, early } = judge(calls);
    assert.equal(early, 0);
    assert.ok(entries >= FLUSHES, `only ${entries} answers of ${FLUSHES} followed an entry`);
    await server.stop();
    await Deno.remove(data, { recursive: true });
  },
});

for (const store of ["sqlite", "kv"] as const) {
  Deno.test(`G1: what ${store} told the audit log is there after kills at any moment`, async () => {
    const data = await Deno.makeTempDir({ prefix: "lakesync-audit-" });
    await using server = new ServerProcess({ data, secret: SECRET, store });
    const answered: string[] = [];
    const sent: string[] = [];
    for (let life = 0; life < 3; life++) {
      await server.start();
      const { flush, entries } = await adminOf(server.url);
      const kept = await entries();
      const told = kept.flatMap(({ requestId }) => requestId ?? []).toReversed();
      assert.deepEqual(answered.filter((id) => !told.includes(id)), []);
      assert.deepEqual(told.filter((id) => !sent.includes(id)), []);
      assert.equal(new Set(told).size, told.length);
      const write = async (lane: number) => {
        for (let i = 0;; i++) {
          const id = `${life}-${lane}-${i}`;
          sent.push(id);
          await flush(id);
          answered.push(id);
          if (answered.length >= (life + 1) * 40) return;
        }
      };
      const writers = Promise.allSettled([0, 1, 2, 3].map(write));
      while (answered.length < life * 40 + 20) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await server.kill();
      await writers;
    }
    await server.start();
    const all = await (await adminOf(server.url)).entries();
    const told = all.flatMap(({ requestId }) => requestId ?? []);
    assert.deepEqual(answered.filter((id) => !told.includes(id)), []);
    assert.equal(all.filter(({ what }) => what === "server.start").length, 4);
    assert.equal(await server.stop(), 0);
    await Deno.remove(data, { recursive: true });
  });
}
