import assert from "node:assert/strict";
import { Listener } from "../listener.ts";
import { Deadline } from "./deadline.ts";
import { RequestLifecycle } from "./lifecycle.ts";
import { LARGE_BODY_BYTES, paced } from "./paced.ts";
import { RequestScope } from "./request_scope.ts";

function scopeOf(deadline: Deadline): RequestScope {
  const request = new Request("http://host/large");
  return new RequestScope({ id: "r", request, ip: "", peer: undefined, deadline });
}

function large(bytes: number): Response {
  const body = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
  return new Response(body, { headers: { "Content-Length": String(bytes), "X-Kept": "yes" } });
}

Deno.test("a large answer comes in pieces and is the same", async () => {
  const deadline = new Deadline(10_000);
  const scope = scopeOf(deadline);
  const bytes = 3 * LARGE_BODY_BYTES + 7;
  const response = paced(large(bytes), scope);
  assert.equal(scope.stream, "open");
  assert.equal(response.headers.get("X-Kept"), "yes");
  const sizes: number[] = [];
  const all: number[] = [];
  for await (const chunk of response.body ?? []) {
    sizes.push(chunk.length);
    for (const byte of chunk) all.push(byte);
  }
  assert.deepEqual(sizes, [LARGE_BODY_BYTES, LARGE_BODY_BYTES, LARGE_BODY_BYTES, 7]);
  assert.ok(all.length === bytes && all.every((byte, i) => byte === i % 251));
  assert.equal(scope.stream, "ended");
  deadline.end();
});

Deno.test("an answer that is small or has no body stays as it is", () => {
  const deadline = new Deadline(10_000);
  const scope = scopeOf(deadline);
  for (const response of [large(LARGE_BODY_BYTES - 1), new Response("x"), new Response(null)]) {
    assert.equal(paced(response, scope), response);
  }
  assert.equal(scope.stream, undefined);
  deadline.end();
});

Deno.test("G11: a reader that stalls is given up, and the request with it", async () => {
  let over = () => {};
  const clock = {
    now: () => 0,
    setTimer: (_ms: number, callback: () => void) => {
      over = callback;
      return () => {};
    },
  };
  const scope = scopeOf(new Deadline(1_000, clock));
  const reader = paced(large(10 * LARGE_BODY_BYTES), scope).body?.getReader();
  assert.equal((await reader?.read())?.value?.length, LARGE_BODY_BYTES);
  over();
  await assert.rejects(reader?.read() ?? assert.fail(), { code: "TIMEOUT" });
  assert.equal(scope.stream, "cut");
});

Deno.test("an answer is under way until it has left: a cut after that truncates nothing", async () => {
  const bytes = 20_000_000;
  const lifecycle = new RequestLifecycle({
    timeoutMs: 10_000,
    answer: (scope) => Promise.resolve(paced(large(bytes), scope)),
    refuse: () => new Response(null, { status: 504 }),
  });
  const listener = new Listener(
    { hostname: "127.0.0.1", port: 0 },
    (request, origin) => lifecycle.handle(request, origin),
  );
  const { body } = await fetch(`http://127.0.0.1:${listener.addr.port}`);
  const cut = lifecycle.underWay().ended.then(() => listener.cut());
  let read = 0;
  for await (const chunk of body ?? []) read += chunk.length;
  assert.equal(read, bytes);
  await cut;
});
