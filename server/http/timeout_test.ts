import assert from "node:assert/strict";
import { insert, type TestServer, withServer } from "../testing_server.ts";

const PUSH = "/v1/sync/default/push";
const TIMEOUT_MS = 200;

function withTimeout(
  test: Parameters<typeof withServer>[0],
  requestTimeoutMs: number = TIMEOUT_MS,
): Promise<void> {
  return withServer(test, true, true, { limits: { requestTimeoutMs } });
}

/** Pushes a body that comes in pieces, with a pause before each but the first. */
async function pushSlowly(
  { url, alice }: TestServer,
  body: string,
  pieces: number,
  pauseMs: number,
): Promise<string> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  let answer: string | undefined;
  const reading = (async () => {
    const buffer = new Uint8Array(16_384);
    const read = await connection.read(buffer);
    answer = new TextDecoder().decode(buffer.subarray(0, read ?? 0));
  })();
  const head = `POST ${PUSH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const encoder = new TextEncoder();
  await connection.write(encoder.encode(head));
  const size = Math.ceil(body.length / pieces);
  for (let at = 0; at < body.length && answer === undefined; at += size) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await connection.write(encoder.encode(body.slice(at, at + size)));
  }
  await reading;
  return answer ?? "";
}

Deno.test("G11: a body that comes too slowly is answered 504 in time, and nothing of it is stored", () =>
  withTimeout(async (server) => {
    const { request, alice } = server;
    const body = JSON.stringify(insert("a", 1, "t1"));
    const startMs = performance.now();
    const answer = await pushSlowly(server, body, 20, 100);
    const ms = performance.now() - startMs;
    assert.match(answer, /^HTTP\/1.1 504 /);
    assert.ok(ms >= TIMEOUT_MS && ms < 5 * TIMEOUT_MS, `${ms} ms`);
    const again = await request(PUSH, { token: alice, body: insert("a", 1, "t1") });
    assert.equal((await again.json()).lastMutationId, 1);
  }));

Deno.test("G6: a large body at the pace of a slow line is no timeout", () =>
  withTimeout(async (server) => {
    const body = JSON.stringify(insert("a", 1, "t1", "x".repeat(100_000)));
    assert.match(await pushSlowly(server, body, 8, 100), /^HTTP\/1.1 200 /);
  }));

Deno.test("what a pull waits for comes on top of its time", () =>
  withTimeout(async ({ json, alice }) => {
    const path = "/v1/sync/default/pull?clientId=a&wait=1";
    const first = await json(path, { token: alice });
    const cursor = encodeURIComponent(String(first.body["cursor"]));
    const startMs = performance.now();
    assert.equal((await json(`${path}&cursor=${cursor}`, { token: alice })).status, 200);
    assert.ok(performance.now() - startMs >= 1_000 - 20);
  }));
