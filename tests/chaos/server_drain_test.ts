/**
 * The gateway process is told to stop while it works. What is under way ends, what comes is refused,
 * and nothing that was acknowledged is lost.
 */

import assert from "node:assert/strict";
import { LiveClient } from "../../server/testing_live.ts";
import { until } from "../e2e/wait.ts";
import { pushOf, RawConnection, StoppedServer, tokenOf } from "./support_stop.ts";

const PUSH = "/v1/sync/default/push";

const DRAIN_MS = 5_000;

async function withFolder(run: (data: string) => Promise<void>): Promise<void> {
  const data = await Deno.makeTempDir({ prefix: "lakesync-drain-" });
  try {
    await run(data);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until so many requests are under way beside the one that asks. */
async function active(server: StoppedServer, count: number): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const found = /^lakesync_active_requests (\d+)$/m.exec(text)?.[1];
    if (Number(found) > count) break;
    await after(10);
  }
  // They have passed what would refuse them when a later one has been answered.
  const later = await server.ask("/v1/sync/default/pull?clientId=later", await tokenOf("later"));
  assert.equal(later.status, 200, await later.text());
}

/** Waits until a server that was told to stop says so. */
async function refusing(server: StoppedServer): Promise<void> {
  for (;;) {
    const ready = await fetch(`${server.url}/ready`);
    await ready.body?.cancel();
    if (ready.status === 503) return;
  }
}

/** Random text, which cannot be compressed well. */
function randomText(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toBase64();
}

async function read(
  server: StoppedServer,
  gatewayId: string,
): Promise<ReadonlySet<string>> {
  const token = await tokenOf("reader");
  const rows = new Set<string>();
  let cursor = "";
  for (;;) {
    const query = new URLSearchParams({ clientId: "reader", limit: "10000" });
    if (cursor !== "") query.set("cursor", cursor);
    const response = await server.ask(`/v1/sync/${gatewayId}/pull?${query}`, token);
    const page = await response.json();
    assert.equal(response.status, 200, JSON.stringify(page));
    for (const { rowId } of page.changes) rows.add(rowId);
    cursor = page.cursor;
    if (page.complete) return rows;
  }
}

/** Pushes over HTTP, one after the other, until it is told to go away. */
async function pushing(server: StoppedServer, name: string, acknowledged: Set<string>) {
  const token = await tokenOf(name);
  for (let n = 1;; n++) {
    const rowId = `${name}-${n}`;
    let response: Response;
    try {
      response = await server.ask(PUSH, token, pushOf(name, n, { [rowId]: "x" }));
    } catch {
      return;
    }
    const body = await response.json();
    if (response.status !== 200) {
      assert.deepEqual([response.status, body.code], [503, "DRAINING"]);
      assert.match(response.headers.get("Retry-After") ?? "", /^[1-9]\d*$/);
      return;
    }
    acknowledged.add(rowId);
  }
}

/** Pushes over a live connection until it is told that the server stops, or goes on until the end. */
async function livePushing(
  server: StoppedServer,
  name: string,
  acknowledged: Set<string>,
  goesOn: boolean,
) {
  const live = await LiveClient.open(server.url, "default", await tokenOf(name));
  live.send({ hello: { clientId: name, schemaVersion: 1 } });
  let isOpen = true;
  live.closed.then(() => isOpen = false);
  const push = (n: number) => {
    if (isOpen) live.send({ push: pushOf(name, n, { [`${name}-${n}`]: "x" }) });
  };
  push(1);
  const reading = (async () => {
    for (let sent = 1;;) {
      const frame = JSON.parse(String(await live.data()));
      const last: number | undefined = frame.pushResult?.lastMutationId;
      if (frame.draining !== undefined) {
        while (goesOn && isOpen) {
          push(++sent);
          await after(20);
        }
        return;
      }
      if (last === undefined) continue;
      acknowledged.add(`${name}-${last}`);
      push(sent = last + 1);
    }
  })();
  return { reading, closed: live.closed };
}

/** Waits for a change in a gateway where nothing happens; tells the status of the answer. */
async function heldPull(server: StoppedServer, clientId: string): Promise<number> {
  const token = await tokenOf(clientId);
  const path = `/v1/sync/quiet/pull?clientId=${clientId}&wait=30`;
  const { cursor } = await (await server.ask(path, token)).json();
  const response = await server.ask(`${path}&cursor=${encodeURIComponent(cursor)}`, token);
  await response.body?.cancel();
  return response.status;
}

/** Follows a probe on connections of its own until nobody listens any more. */
async function probed(url: string): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const response = await fetch(url, { headers: { Connection: "close" } }).catch(() => undefined);
    if (response === undefined) return seen;
    const body = await response.json();
    const state = `${response.status} ${body.reason ?? body.status ?? body.code}`;
    if (seen.at(-1) !== state) seen.push(state);
    await after(10);
  }
}

Deno.test("G1: a stop under load ends what is under way, refuses the rest, and loses nothing", () =>
  withFolder(async (data) => {
    const acknowledged = new Set<string>();
    const rows: string[] = [];
    {
      const limits = ["--drain-timeout-ms", `${DRAIN_MS}`, "--max-messages-per-second", "10000"];
      await using server = await StoppedServer.start(data, limits);
      await server.putSchema();
      await server.putSchema("bulk");
      const alice = await tokenOf("alice");
      for (let n = 1; n <= 2; n++) {
        const ids = Array.from({ length: 6_000 }, (_, i) => `row-${n}-${i}`);
        const texts = Object.fromEntries(ids.map((id) => [id, randomText(900)]));
        const push = await server.ask("/v1/sync/bulk/push", alice, pushOf("alice", n, texts));
        assert.equal(push.status, 200, await push.text());
        rows.push(...ids);
      }
      const checkpoint = "/v1/sync/bulk/checkpoint?clientId=bootstrapping&schemaVersion=1";
      const whole = (await (await server.ask(checkpoint, alice)).arrayBuffer()).byteLength;

      const stream = await server.ask(checkpoint, alice);
      const reader = stream.body?.getReader();
      await server.putSchema("quiet");
      const held = Array.from({ length: 20 }, (_, i) => heldPull(server, `held-${i}`));
      const lives = await Promise.all(
        Array.from(
          { length: 50 },
          (_, i) => livePushing(server, `live-${i}`, acknowledged, i % 2 === 0),
        ),
      );
      const pushers = Array.from(
        { length: 20 },
        (_, i) => pushing(server, `http-${i}`, acknowledged),
      );
      using slow = await RawConnection.open(server.url);
      const body = JSON.stringify(pushOf("slow", 1, { "slow-1": "x" }));
      await slow.post(PUSH, await tokenOf("slow"), body, 40);
      using kept = await RawConnection.open(server.url);
      const ready = probed(`${server.url}/ready`);
      const live = probed(`${server.url}/livez`);
      await until("everybody works", () => acknowledged.size > 500);

      server.signal("SIGTERM");
      await refusing(server);
      await kept.post(PUSH, alice, JSON.stringify(pushOf("alice", 1, { no: "x" })));
      const refused = await kept.answer();
      assert.match(refused, /^HTTP\/1.1 503 /);
      assert.match(refused, /retry-after: [1-9]/i);
      assert.match(refused, /"code":"DRAINING"/);
      const handshake = LiveClient.open(server.url, "default", alice);
      await assert.rejects(handshake, /refused/);
      await slow.write(body.slice(40));
      assert.match(await slow.answer(), /^HTTP\/1.1 200 /);
      acknowledged.add("slow-1");
      let length = 0;
      while (reader !== undefined) {
        const { value, done } = await reader.read();
        if (done) break;
        length += value.byteLength;
      }
      assert.equal(length, whole);

      const { code, ms, output } = await server.ended();
      await Promise.all(pushers);
      await Promise.all(lives.map(({ reading }) => reading));
      const codes = await Promise.all(lives.map(({ closed }) => closed));
      assert.deepEqual(codes.filter((code) => code !== 1012), []);
      assert.deepEqual(await Promise.all(held), held.map(() => 200));
      assert.deepEqual(await ready, ["200 ready", "503 draining"]);
      assert.deepEqual(await live, ["200 ok"]);
      assert.equal(code, 0, output);
      assert.ok(ms < DRAIN_MS, `${ms} ms`);
      assert.match(output, /Drained in \d+ ms: \d+ requests and 50 live connections have ended/);
      assert.doesNotMatch(output, /cut|error/i);
      console.log(`stopped in ${Math.round(ms)} ms, ${acknowledged.size} acknowledged`);
    }
    await using again = await StoppedServer.start(data);
    const there = await read(again, "default");
    for (const rowId of acknowledged) assert.ok(there.has(rowId), rowId);
    assert.deepEqual(await read(again, "bulk"), new Set(rows));
    again.signal("SIGINT");
    assert.equal((await again.ended()).code, 0);
  }));

Deno.test("a stop cuts what is not in time, says so, and exits 0", () =>
  withFolder(async (data) => {
    await using server = await StoppedServer.start(data, ["--drain-timeout-ms", "300"]);
    await server.putSchema();
    using slow = await RawConnection.open(server.url);
    const body = JSON.stringify(pushOf("slow", 1, { "slow-1": "x" }));
    await slow.post(PUSH, await tokenOf("slow"), body, 40);
    await active(server, 1);
    server.signal("SIGTERM");
    assert.equal(await slow.answer(), "");
    const { code, ms, output } = await server.ended();
    assert.equal(code, 0, output);
    assert.ok(ms >= 300 && ms < 2_000, `${ms} ms`);
    assert.match(output, /The drain timed out after \d+ ms: 1 of 1 requests/);
  }));

Deno.test("a second signal ends the process at once with 130", () =>
  withFolder(async (data) => {
    await using server = await StoppedServer.start(data);
    await server.putSchema();
    using slow = await RawConnection.open(server.url);
    await slow.post(PUSH, await tokenOf("slow"), "{}".padEnd(100), 10);
    await active(server, 1);
    server.signal("SIGTERM");
    await server.until("SIGTERM: stopping");
    // Within 100 ms it would be taken for an echo of the first.
    await after(150);
    server.signal("SIGTERM");
    const { code, ms } = await server.ended();
    assert.equal(code, 130);
    assert.ok(ms < 2_000, `${ms} ms`);
  }));

/** A destination that takes nothing and never answers, and one that cannot be closed either. */
const HANGING = `
const never = () => new Promise(() => {});
const open = ({ name }) => ({
  name,
  position: () => Promise.resolve(undefined),
  ensureSchema: () => Promise.resolve(),
  insertDeltas: never,
  rewind: never,
  refill: never,
  unsettled: () => Promise.resolve([]),
  close: never,
});
export default { gateways: { default: { destinations: { hangs: { type: "custom", open } } } } };
`;

Deno.test("a stop ends in time though a destination hangs, and says what was not flushed", () =>
  withFolder(async (data) => {
    await Deno.writeTextFile(`${data}/hanging.config.ts`, HANGING);
    const args = ["--config", `${data}/hanging.config.ts`, "--drain-timeout-ms", "1000"];
    const acknowledged = new Set<string>();
    {
      await using server = await StoppedServer.start(`${data}/data`, args);
      await server.putSchema();
      const pushers = [pushing(server, "http", acknowledged)];
      await until("something was pushed", () => acknowledged.size > 10);
      server.signal("SIGTERM");
      const { code, ms, output } = await server.ended();
      await Promise.all(pushers);
      assert.equal(code, 0, output);
      assert.ok(ms < 6_000, `${ms} ms`);
      assert.match(output, /\d+ changes are not flushed yet and stay in the log/);
    }
    await using again = await StoppedServer.start(`${data}/data`);
    const there = await read(again, "default");
    for (const rowId of acknowledged) assert.ok(there.has(rowId), rowId);
    again.signal("SIGTERM");
    await again.ended();
  }));

Deno.test("a forced flush that a stop cuts is not told as one that was answered", () =>
  withFolder(async (data) => {
    await Deno.writeTextFile(`${data}/hanging.config.ts`, HANGING);
    const args = ["--config", `${data}/hanging.config.ts`, "--drain-timeout-ms", "500"];
    await using server = await StoppedServer.start(`${data}/data`, args);
    await server.putSchema();
    const push = pushOf("phone", 1, { "row-1": "x" });
    const pushed = await server.ask(PUSH, await tokenOf("phone"), push);
    assert.equal(pushed.status, 200, await pushed.text());
    const root = await tokenOf("root", "admin");
    const flushing = server.ask("/v1/admin/flush/default", root, {}).then(
      ({ status }) => status,
      () => "no answer",
    );
    await active(server, 1);
    server.signal("SIGTERM");
    const { output } = await server.ended();
    assert.equal(await flushing, "no answer");
    const [line = ""] = output.split("\n").filter((line) => line.includes("/admin/flush/"));
    assert.match(line, /\b499\b/, output);
  }));

Deno.test("a signal while the server starts is an orderly end too", () =>
  withFolder(async (data) => {
    const server = StoppedServer.spawn(`${data}/data`);
    await using _ = server;
    // From then on stores are being opened.
    const isThere = () => Deno.stat(`${data}/data`).then(() => true, () => false);
    while (!await isThere()) await after(1);
    server.signal("SIGTERM");
    const { code, output } = await server.ended();
    assert.equal(code, 0, output);
  }));
