import assert from "node:assert/strict";
import { openPeerSockets, peerKey } from "./peer_sockets.ts";

Deno.test("peerKey names a peer the same however its address is written", () => {
  const same = ["::ffff:10.1.2.3", "::ffff:a01:203", "0:0:0:0:0:ffff:a01:203"];
  const keys = same.map((hostname) => peerKey({ hostname, port: 9 }));
  assert.deepEqual(new Set(keys).size, 1);
  assert.equal(peerKey({ hostname: "fe80::1%eth0", port: 9 }), "[fe80::1]:9");
  assert.equal(peerKey({ hostname: "10.1.2.3", port: 80 }), "10.1.2.3:80");
});

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`PeerSockets ends one connection and no other (${hostname})`, async () => {
    const sockets = openPeerSockets();
    assert.ok(sockets);
    const listener = Deno.listen({ hostname, port: 0 });
    const connect = async () => {
      const client = await Deno.connect({ hostname, port: listener.addr.port });
      return [client, await listener.accept()] as const;
    };
    const [silent, served] = await connect();
    const [good, goodServed] = await connect();
    await silent.write(new Uint8Array(70_000));
    const buffer = new Uint8Array(70_000);
    for (let got = 0; got < buffer.length;) got += await served.read(buffer) ?? 0;
    // It reads nothing: what is written stays.
    const fill = async () => {
      while (true) await served.write(new Uint8Array(16 * 1024 * 1024));
    };
    const stuck = fill().catch((error: unknown) => error);
    if (Deno.build.os === "linux") {
      assert.equal(sockets.traffic().get(peerKey(served.remoteAddr))?.received, 70_000);
    }
    assert.equal(sockets.reset({ hostname, port: 1 }), false);
    assert.equal(sockets.reset(served.remoteAddr), true);
    assert.ok(await stuck instanceof Error);
    await good.write(new Uint8Array([7]));
    assert.equal(await goodServed.read(buffer), 1);
    for (const conn of [silent, served, good, goodServed]) conn.close();
    listener.close();
    sockets.close();
  });
}
