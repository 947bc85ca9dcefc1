import assert from "node:assert/strict";
import { Listener, type Serve } from "./listener.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

/** Listens for real, and fails when asked to, as the runtime does. */
function failing(): { serve: Serve; fail(error: Error): void; served(): Promise<void> } {
  let fail = (_error: Error) => {};
  let next = Promise.withResolvers<void>();
  let refuse: Error | undefined;
  return {
    serve: (options, handler) => {
      const failure = refuse;
      refuse = undefined;
      if (failure !== undefined) throw failure;
      const server = Deno.serve(options, handler);
      const { promise, reject } = Promise.withResolvers<never>();
      fail = (error) => {
        refuse = new Error("Not at once either");
        reject(error);
      };
      next.resolve();
      next = Promise.withResolvers();
      return {
        addr: server.addr,
        finished: Promise.race([server.finished, promise]),
        shutdown: () => server.shutdown(),
        ref: () => server.ref(),
        unref: () => server.unref(),
        [Symbol.asyncDispose]: () => server.shutdown(),
      };
    },
    fail: (error) => fail(error),
    served: () => next.promise,
  };
}

Deno.test("G6: a listener that the runtime ended listens again at the same port", async () => {
  const { serve, fail, served } = failing();
  const listener = new Listener(LOCAL, () => new Response("here"), serve);
  const url = `http://127.0.0.1:${listener.addr.port}`;
  const held = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  assert.equal(await (await fetch(url)).text(), "here");
  const again = served();
  fail(new Error("Too many open files"));
  assert.equal(await held.read(new Uint8Array(1)), null);
  held.close();
  await again;
  assert.equal(await (await fetch(url)).text(), "here");
  await listener.cut();
});

Deno.test("A listener that has failed and is shut down does not listen again", async () => {
  const { serve, fail } = failing();
  const listener = new Listener(LOCAL, () => new Response("here"), serve);
  fail(new Error("Too many open files"));
  await listener.cut();
  await assert.rejects(fetch(`http://127.0.0.1:${listener.addr.port}`));
});

/** A listener with a handler that answers when it is told to, and a request that waits for it. */
async function asked() {
  const request = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  const listener = new Listener(LOCAL, () => {
    request.resolve();
    return answer.promise;
  });
  const response = fetch(`http://127.0.0.1:${listener.addr.port}`);
  await request.promise;
  return { listener, answer, response };
}

Deno.test("cut ends requests that are under way", async () => {
  const { listener, answer, response } = await asked();
  const failed = assert.rejects(response);
  await listener.cut();
  await failed;
  answer.resolve(new Response("nobody reads it"));
});
