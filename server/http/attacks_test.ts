import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { insert, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { MAX_USER_SLOW_BODIES } from "./budget.ts";

const PUSH = "/v1/sync/default/push";
const MIB = 1024 * 1024;

/** What a push of a body is answered with: status, and code where there is one. */
async function pushed(
  { request, alice }: TestServer,
  body: BodyInit,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await request(PUSH, {
    token: alice,
    body,
    headers: { "Content-Type": "application/json", ...headers },
  });
  const text = await response.text();
  return `${response.status} ${text === "" ? "" : JSON.parse(text).code ?? "ok"}`;
}

/** What a gateway takes afterwards as before. */
async function assertAlive(server: TestServer): Promise<void> {
  assert.equal(await pushed(server, JSON.stringify(insert("phone", 1, "t1"))), "200 ok");
}

Deno.test("G11: a body counts by what it decompresses to, however it is compressed", () =>
  withServer(async (server) => {
    const gzip = { "Content-Encoding": "gzip" };
    const bomb = gzipSync(new Uint8Array(256 * MIB));
    const member = gzipSync(new Uint8Array(MIB / 2));
    const members = new Uint8Array(member.length * 40);
    for (let n = 0; n < 40; n++) members.set(member, n * member.length);
    assert.equal(await pushed(server, new Uint8Array(bomb), gzip), "413 PAYLOAD_TOO_LARGE");
    assert.equal(await pushed(server, members, gzip), "413 PAYLOAD_TOO_LARGE");
    const twice = new Uint8Array(gzipSync(bomb));
    const layers = { "Content-Encoding": "gzip, gzip" };
    assert.equal(await pushed(server, twice, layers), "415 UNSUPPORTED_MEDIA_TYPE");
    assert.equal(await pushed(server, twice, gzip), "400 VALIDATION_ERROR");
    await assertAlive(server);
  }));

Deno.test("G11: JSON that would hold up the server is refused before it is parsed", () =>
  withServer(async (server) => {
    const names = Array.from({ length: 1_000_000 }, (_, n) => `"k${n}":1`).join(",");
    const bodies = [
      `{"clientId":"phone","x":{${names}}}`,
      `[${"{},".repeat(4_000_000)}{}]`,
      "[".repeat(8_000_000),
      '{"a":'.repeat(3_000_000),
    ];
    for (const body of bodies) assert.equal(await pushed(server, body), "400 VALIDATION_ERROR");
    await assertAlive(server);
  }));

Deno.test("G11: headers that are too large are refused, by the runtime", () =>
  withServer(async (server) => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`X-${n}`, "1"]));
    for (const headers of [{ "X-Large": "x".repeat(128 * 1024) }, many]) {
      const response = await fetch(server.url + PUSH, { method: "POST", headers });
      assert.equal(`${response.status} ${await response.text()}`, "400 ");
    }
    await assertAlive(server);
  }));

/** Sends a push whose body never ends; what it is answered with, and after how long. */
async function stalled(url: string, token: string): Promise<string> {
  const { hostname, port } = new URL(url);
  using line = await Deno.connect({ hostname, port: Number(port) });
  const head = [
    `POST ${PUSH} HTTP/1.1`,
    `Host: ${hostname}`,
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    "Content-Length: 1000",
  ];
  await line.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n{`));
  const buffer = new Uint8Array(4096);
  const read = await line.read(buffer);
  const text = new TextDecoder().decode(buffer.subarray(0, read ?? 0));
  return `${text.split(" ")[1]} ${/"code":"(\w+)"/.exec(text)?.[1]}`;
}

Deno.test("G11: bodies that never end are few of one user, and end in time", () =>
  withServer(
    async (server) => {
      const token = await tokenFor("slow");
      const sent = Array.from({ length: MAX_USER_SLOW_BODIES + 5 }, () => {
        return stalled(server.url, token);
      });
      const other = stalled(server.url, await tokenFor("other"));
      const answers = await Promise.all(sent);
      assert.equal(answers.filter((answer) => answer === "503 BACKPRESSURE").length, 5);
      const late = answers.filter((answer) => answer === "504 TIMEOUT");
      assert.equal(late.length, MAX_USER_SLOW_BODIES);
      assert.equal(await other, "504 TIMEOUT");
      await assertAlive(server);
    },
    true,
    true,
    { limits: { requestTimeoutMs: 1_500 } },
  ));
