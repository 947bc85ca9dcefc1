/**
 * SIGKILL keeps the page cache, so it cannot show that an answer waits for the disk. The order of
 * system calls can: between the last write to the log of the database and the answer there must be
 * a completed fsync of that file.
 */

import assert from "node:assert/strict";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { type Call, isAnswer, isSync, parseTrace, TRACE, traced } from "./trace.ts";
import { hasTracer } from "./tracer.ts";

const SECRET = "order tests use this secret of many characters";
const PUSHES = 20;
/** How many answers left before what they acknowledge was on the disk, and how many there were. */
function judgeOrder(calls: readonly Call[]): { answers: number; early: number } {
  let unsynced = false;
  let written = false;
  let answers = 0;
  let early = 0;
  for (const call of calls) {
    if (call.file.endsWith(".db-wal")) {
      if (call.name === "pwrite64") [unsynced, written] = [true, true];
      else if (isSync(call)) unsynced = false;
    } else if (isAnswer(call) && written) {
      answers++;
      if (unsynced) early++;
      written = false;
    }
  }
  return { answers, early };
}

function adminToken(): Promise<string> {
  return signToken({ secret: SECRET, sub: "alice", gw: "default", role: "admin" });
}

async function pushes(url: string): Promise<void> {
  const headers = {
    authorization: `Bearer ${await adminToken()}`,
    "content-type": "application/json",
  };
  const send = async (method: string, path: string, body: unknown) => {
    const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200, await response.text());
  };
  const tables = { notes: { primaryKey: ["id"], columns: { id: "string", text: "string" } } };
  await send("PUT", "/v1/admin/schema/default", { version: 1, tables });
  for (let mutationId = 1; mutationId <= PUSHES; mutationId++) {
    const columns = { text: `note ${mutationId}` };
    const delta = { op: "INSERT", table: "notes", rowId: `n${mutationId}`, columns };
    const transactions = [{ mutationId, deltas: [delta] }];
    await send("POST", "/v1/sync/default/push", { clientId: "a", schemaVersion: 1, transactions });
  }
}

/** Asks for what a client asks for whose answer was lost: nothing new is committed for it. */
async function pushAgain(url: string): Promise<void> {
  const authorization = `Bearer ${await adminToken()}`;
  const columns = { text: "note 1" };
  const transactions = [{
    mutationId: 1,
    deltas: [{ op: "INSERT", table: "notes", rowId: "n1", columns }],
  }];
  const response = await fetch(`${url}/v1/sync/default/push`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ clientId: "a", schemaVersion: 1, transactions }),
  });
  assert.equal(response.status, 200, await response.text());
}

const tracer = await hasTracer();
if (!tracer) console.log("skipped: the order of fsync and answer needs strace on this machine");

Deno.test({
  name: "G1: an answer leaves only after the fsync of what it acknowledges",
  ignore: !tracer,
  fn: async () => {
    const data = await Deno.makeTempDir({ prefix: "lakesync-order-" });
    await using server = new ServerProcess({ data, secret: SECRET });
    await server.start();
    const calls = await traced(server.pid ?? 0, () => pushes(server.url));
    const { answers, early } = judgeOrder(calls);
    assert.ok(answers >= PUSHES, `only ${answers} answers of ${PUSHES} pushes were seen`);
    assert.equal(early, 0);
    await server.stop();
    await Deno.remove(data, { recursive: true });
  },
});

for (const store of ["sqlite", "kv"] as const) {
  Deno.test({
    name: `G1: what a killed process left in the page cache is fsynced before ${store} reads it`,
    ignore: !tracer,
    fn: async () => {
      const data = await Deno.makeTempDir({ prefix: "lakesync-order-" });
      const trace = await Deno.makeTempFile({ prefix: "lakesync-trace-" });
      {
        await using server = new ServerProcess({ data, secret: SECRET, store });
        await server.start();
        await pushes(server.url);
        await server.kill();
      }
      const wrapper = ["strace", "-D", ...TRACE, "-o", trace];
      await using server = new ServerProcess({ data, secret: SECRET, store, wrapper });
      await server.start();
      await pushAgain(server.url);
      await server.stop();
      const calls = parseTrace(await Deno.readTextFile(trace));
      const answer = calls.findIndex(isAnswer);
      const sync = calls.findIndex((call) => isSync(call) && call.file.endsWith("-wal"));
      assert.ok(answer >= 0, "the answer was seen");
      assert.ok(sync >= 0 && sync < answer, `fsync is call ${sync}, the answer is call ${answer}`);
      await Deno.remove(data, { recursive: true });
      await Deno.remove(trace);
    },
  });
}

Deno.test({
  name: "G1: the test of the order catches a store with synchronous=OFF",
  ignore: !tracer,
  fn: async () => {
    const data = await Deno.makeTempDir({ prefix: "lakesync-order-" });
    const script = new URL("./unsafe_server.ts", import.meta.url).pathname;
    const args = ["run", "-A", decodeURIComponent(script), data, SECRET];
    const child = new Deno.Command(Deno.execPath(), { args, stderr: "piped" }).spawn();
    const reader = child.stderr.getReader();
    let text = "";
    while (!/ on http\S+\n/.test(text)) {
      const { value, done } = await reader.read();
      assert.equal(done, false, text);
      text += new TextDecoder().decode(value);
    }
    const url = / on (http\S+)/.exec(text)?.[1] ?? "";
    const calls = await traced(child.pid, () => pushes(url));
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    const { answers, early } = judgeOrder(calls);
    assert.ok(answers >= PUSHES, `only ${answers} answers of ${PUSHES} pushes were seen`);
    assert.ok(early >= PUSHES, `only ${early} answers were seen to be early`);
    await Deno.remove(data, { recursive: true });
  },
});
