import assert from "node:assert/strict";
import { AnswerWatch } from "./answer_watch.ts";
import { openPeerSockets, type PeerSockets } from "./live/peer_sockets.ts";

const MIB = 1024 * 1024;

/** The system's sockets; `wasReset` resolves with the first peer that is ended. */
function watchedSockets(): { open: () => PeerSockets; wasReset: Promise<number> } {
  const { promise, resolve } = Promise.withResolvers<number>();
  const open = () => {
    const sockets = openPeerSockets();
    assert.ok(sockets);
    return {
      reset: (peer: Deno.NetAddr) => {
        resolve(peer.port);
        return sockets.reset(peer);
      },
      traffic: () => sockets.traffic(),
      peersOf: (port: number) => sockets.peersOf(port),
      close: () => sockets.close(),
    };
  };
  return { open, wasReset: promise };
}

Deno.test({
  name: "G11: AnswerWatch ends who does not read an answer, and nobody who waits for a stream",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { open, wasReset } = watchedSockets();
    const watch = new AnswerWatch({
      timeoutMs: 30_000,
      isShort: () => true,
      // A second is half a minute here.
      now: () => Date.now() * 30,
      open,
    });
    const { promise: never, resolve } = Promise.withResolvers<void>();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request, { remoteAddr, completed }) => {
        watch.watch({ peer: remoteAddr, completed });
        if (request.url.endsWith("/large")) return new Response(new Uint8Array(64 * MIB));
        const body = new ReadableStream({
          start: async (controller) => {
            controller.enqueue(new Uint8Array([1]));
            await never;
            controller.close();
          },
        });
        return new Response(body);
      },
    );
    const { port } = server.addr;
    const waits = await fetch(`http://127.0.0.1:${port}/stream`);
    const silent = await Deno.connect({ hostname: "127.0.0.1", port });
    await silent.write(new TextEncoder().encode("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert.equal(await wasReset, silent.localAddr.port);
    resolve();
    assert.equal((await waits.bytes()).length, 1);
    silent.close();
    await server.shutdown();
    watch.close();
  },
});
