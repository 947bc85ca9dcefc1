import assert from "node:assert/strict";
import { ConnectionWatch } from "./connection_watch.ts";
import { openPeerSockets, type PeerSockets } from "./live/peer_sockets.ts";

const encoder = new TextEncoder();

/** Resolves when the other end has ended a connection. */
async function ended(line: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    while (await line.read(buffer) !== null);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
}

/** The system's sockets, and how often they were looked at. */
function countedSockets(): { open: () => PeerSockets; looks: () => number } {
  let looks = 0;
  const open = () => {
    const sockets = openPeerSockets();
    assert.ok(sockets);
    return {
      reset: (peer: Deno.NetAddr) => sockets.reset(peer),
      traffic: () => sockets.traffic(),
      peersOf: (port: number) => {
        looks++;
        return sockets.peersOf(port);
      },
      close: () => sockets.close(),
    };
  };
  return { open, looks: () => looks };
}

Deno.test("G11: ConnectionWatch ends connections without a request, and no others", async () => {
  let ms = 0;
  let port = 0;
  const { open, looks } = countedSockets();
  const watch = new ConnectionWatch({ port: () => port, now: () => ms, lookMs: 5, open });
  const { promise: never, resolve } = Promise.withResolvers<void>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request, { remoteAddr, completed }) => {
      const answered = watch.begin({ peer: remoteAddr, completed });
      if (request.headers.has("Upgrade")) {
        const { socket, response } = Deno.upgradeWebSocket(request);
        socket.onmessage = ({ data }) => socket.send(data);
        answered(true);
        return response;
      }
      if (request.url.endsWith("/held")) await never;
      answered(false);
      return new Response("ok");
    },
  );
  port = server.addr.port;
  watch.start();
  const connect = async (head: string) => {
    const line = await Deno.connect({ hostname: "127.0.0.1", port });
    await line.write(encoder.encode(head));
    return line;
  };
  const buffer = new Uint8Array(4096);
  const half = await connect("GET / HTTP/1.1\r\nHost: a\r\n");
  const silent = await connect("");
  const kept = await connect("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await kept.read(buffer);
  const held = await connect("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await new Promise((opened) => socket.onopen = opened);
  const other = await Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const outbound = await Deno.connect({ hostname: "127.0.0.1", port: other.addr.port });
  const accepted = await other.accept();
  // The second look from here on begins when all of them are there.
  for (const enough = looks() + 2; looks() < enough;) {
    await new Promise((later) => setTimeout(later, 1));
  }

  ms += 60_001;
  await Promise.all([ended(half), ended(silent)]);
  await kept.write(encoder.encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.ok(await kept.read(buffer) !== null);

  ms += 5 * 60_000 + 1;
  await ended(kept);
  const echoed = new Promise((arrived) => socket.onmessage = arrived);
  socket.send("hello");
  await echoed;
  resolve();
  assert.match(
    new TextDecoder().decode(buffer.subarray(0, await held.read(buffer) ?? 0)),
    /200 OK/,
  );
  await accepted.write(new Uint8Array([7]));
  assert.equal(await outbound.read(buffer), 1);

  const closed = new Promise((done) => socket.onclose = done);
  socket.close();
  await closed;
  watch.close();
  for (const line of [half, silent, kept, held, outbound, accepted, other]) line.close();
  await server.shutdown();
});
