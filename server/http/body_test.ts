import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { tokenFor, withServer } from "../testing_server.ts";
import { readBody } from "./body.ts";
import { ByteBudget, MAX_HELD_BYTES, MAX_SLOW_BODIES, MAX_USER_SLOW_BODIES } from "./budget.ts";

function post(body: BodyInit, headers: Record<string, string> = {}): Request {
  return new Request("http://127.0.0.1/", { method: "POST", body, headers });
}

const refusedAs = (code: string) => (error: unknown) =>
  error instanceof LakeSyncError && error.code === code;

Deno.test("readBody turns a body away while others hold the server's bytes", async () => {
  const budget = new ByteBudget(1_000);
  const [first, second] = [budget.lease(), budget.lease()];
  await readBody(post("x".repeat(600)), { maxBytes: 1_000, lease: first });
  await assert.rejects(
    readBody(post("x".repeat(600)), { maxBytes: 1_000, lease: second }),
    refusedAs("BACKPRESSURE"),
  );
  first.end();
  const body = await readBody(post("x".repeat(600)), { maxBytes: 1_000, lease: second });
  assert.equal(body.length, 600);
});

Deno.test("readBody counts what a body decompresses to", async () => {
  const lease = new ByteBudget(1_000).lease();
  const gzip = new Uint8Array(gzipSync("x".repeat(1_500)));
  await assert.rejects(
    readBody(post(gzip, { "Content-Encoding": "gzip" }), { maxBytes: 2_000, lease }),
    refusedAs("BACKPRESSURE"),
  );
});

Deno.test("readBody gives up a sender that stops, and lets its body go", async () => {
  const cancelled = Promise.withResolvers<void>();
  const stalled = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => cancelled.resolve(),
  });
  const lease = new ByteBudget().lease();
  await assert.rejects(
    readBody(post(stalled), { maxBytes: 100, lease, idleTimeoutMs: 5 }),
    refusedAs("TIMEOUT"),
  );
  await cancelled.promise;
});

Deno.test("readBody gives up a body that takes too long, however steadily it comes", async () => {
  let stop = () => {};
  const drip = new ReadableStream<Uint8Array>({
    pull: (controller) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => {
          controller.enqueue(new Uint8Array(1));
          resolve();
        }, 1);
        stop = () => clearTimeout(timer);
      }),
    cancel: () => stop(),
  }, { highWaterMark: 0 });
  const lease = new ByteBudget().lease();
  const bounds = { maxBytes: 1_000_000, lease, idleTimeoutMs: 1_000, timeoutMs: 20 };
  await assert.rejects(readBody(post(drip), bounds), refusedAs("TIMEOUT"));
});

Deno.test("G11: readBody turns away a slow body where many are slow, first those of its user", async () => {
  const budget = new ByteBudget();
  const leases = [];
  for (let n = 0; n < MAX_SLOW_BODIES; n++) {
    const lease = budget.lease(() => `user ${Math.floor(n / MAX_USER_SLOW_BODIES)}`);
    lease.beSlow();
    lease.beSlow();
    leases.push(lease);
  }
  const stalled = () => post(new ReadableStream<Uint8Array>());
  const read = (user: string) => {
    const lease = budget.lease(() => user);
    leases.push(lease);
    const bounds = { maxBytes: 100, lease, slowAfterMs: 1, idleTimeoutMs: 50 };
    return readBody(stalled(), bounds);
  };
  await assert.rejects(read("another"), refusedAs("BACKPRESSURE"));
  for (const lease of leases.splice(MAX_USER_SLOW_BODIES)) lease.end();
  await assert.rejects(read("user 0"), refusedAs("BACKPRESSURE"));
  await assert.rejects(read("another"), refusedAs("TIMEOUT"));
  for (const lease of leases) lease.end();
  await assert.rejects(read("user 0"), refusedAs("TIMEOUT"));
});

Deno.test("a request gives back the bytes it held, whatever its answer", () =>
  withServer(async ({ json, alice }) => {
    const body = " ".repeat(15 * 1024 * 1024);
    for (let sent = 0; sent <= MAX_HELD_BYTES; sent += body.length) {
      const { status } = await json("/v1/sync/default/push", {
        token: alice,
        body,
        headers: { "Content-Type": "application/json" },
      });
      assert.equal(status, 400);
    }
  }));

Deno.test("a body that breaks off is answered as one to be sent again", async () => {
  await withServer(async ({ url }) => {
    const token = await tokenFor("alice");
    const { hostname, port } = new URL(url);
    using line = await Deno.connect({ hostname, port: Number(port) });
    const head = [
      "POST /v1/sync/default/push HTTP/1.1",
      `Host: ${hostname}`,
      `Authorization: Bearer ${token}`,
      "Content-Type: application/json",
      "Content-Length: 1000",
    ];
    await line.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n{"clientId":`));
    await line.closeWrite();
    const answer = await new Response(line.readable).text();
    assert.match(answer, /^HTTP\/1\.1 504 /);
    assert.match(answer, /"code":"TIMEOUT"/);
  });
});
