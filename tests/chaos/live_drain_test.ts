/** Live clients of a process that is told to stop while they are busy. */

import assert from "node:assert/strict";
import { LiveClient } from "../../server/testing_live.ts";
import { RawPeer } from "../../server/live/testing_peer.ts";
import { LiveSite } from "./support_live.ts";

const CLIENTS = 300;

Deno.test({
  name: "G11: a process that stops closes busy live clients with 1012, after draining",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using site = await LiveSite.open([]);
    const ends: Promise<string>[] = [];
    let isBusy = true;
    for (let i = 0; i < CLIENTS; i++) {
      const token = await site.token(`user-${i}`);
      const client = await LiveClient.open(site.server.url, "default", token);
      client.send({ hello: { clientId: `client-${i}`, schemaVersion: 1 } });
      ends.push((async () => {
        for (;;) {
          const frame = JSON.parse(String(await client.data()));
          if ("changes" in frame) client.send({ ack: { cursor: frame.changes.cursor } });
          if ("draining" in frame) return `draining ${await client.closed}`;
        }
      })());
    }
    const deaf = await RawPeer.open(site.server.url, await site.token("deaf"));
    await deaf.send({ hello: { clientId: "deaf", schemaVersion: 1 } });
    const busy = (async () => {
      for (let n = 0; isBusy; n++) {
        const pushed = await site.push("writer", [`row-${n}`], 100).catch(() => undefined);
        if (pushed?.status !== 200) return;
      }
    })();
    while ((await site.push("other", ["first"], 10)).status !== 200) { /* It goes on. */ }
    const startMs = performance.now();
    const code = await site.server.stop("SIGTERM");
    const ms = performance.now() - startMs;
    isBusy = false;
    const seen = await Promise.all(ends);
    assert.deepEqual([...new Set(seen)], ["draining 1012"]);
    assert.ok(ms < 5_000, `${ms} ms`);
    assert.equal(code, 0);
    console.log(`${CLIENTS} clients closed in ${ms | 0} ms, beside one that answers nothing`);
    await busy;
    deaf.close();
  },
});
