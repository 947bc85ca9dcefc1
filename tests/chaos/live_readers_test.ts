/** Live clients that stop reading, vanish, or leave messages unfinished, on a real process. */

import assert from "node:assert/strict";
import { RawPeer } from "../../server/live/testing_peer.ts";
import { LiveClient } from "../../server/testing_live.ts";
import { Relay } from "../e2e/proxy.ts";
import { until } from "../e2e/wait.ts";
import { LiveSite } from "./support_live.ts";

const MIB = 1024 * 1024;
const HELLO = { schemaVersion: 1 };

async function fill(site: LiveSite): Promise<void> {
  for (let i = 0; i < 4; i++) {
    const rows = Array.from({ length: 250 }, (_, n) => `row-${i}-${n}`);
    assert.equal((await site.push("filler", rows, 8 * 1024)).status, 200);
  }
}

/** Peers that say hello and read nothing of what comes. */
async function silentPeers(site: LiveSite, count: number): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  for (let i = 0; i < count; i++) {
    const peer = await RawPeer.open(site.server.url, await site.token(`silent-${i % 10}`));
    assert.equal(peer.status, 101);
    await peer.send({ hello: { ...HELLO, clientId: `silent-${i}` } });
    peers.push(peer);
  }
  return peers;
}

Deno.test({
  name: "G11: fifty readers that stop reading cost bounded memory, delay nobody, and are ended",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using site = await LiveSite.open(["--idle-timeout-ms=4000"]);
    await fill(site);
    await site.pushMs("good", 500);
    const before = await site.use();
    const alone = await site.pushMs("good", 2_000);
    const peers = await silentPeers(site, 50);
    const sitting = await site.pushMs("good", 2_500);
    const during = await site.use();
    assert.equal(await site.connections(), 50);
    await until("their places are free", async () => await site.connections() === 0, 8_000);
    await until("their sockets are gone", async () => {
      return (await site.use()).descriptors <= before.descriptors + 2;
    }, 3_000);
    const after = await site.use();
    const next = await silentPeers(site, 50);
    assert.equal(await site.connections(), 50, "the users have their places again");
    for (const peer of [...peers, ...next]) peer.close();
    console.log(
      `p99 of a push ${alone.p99.toFixed(1)} ms alone, ${sitting.p99.toFixed(1)} ms beside them; ` +
        `memory ${before.rssBytes / MIB | 0}, ${during.rssBytes / MIB | 0}, ` +
        `${after.rssBytes / MIB | 0} MiB before, during and after`,
    );
    assert.ok(during.rssBytes - before.rssBytes < 500 * MIB, `${during.rssBytes}`);
    assert.ok(sitting.p99 < Math.max(50, 5 * alone.p99), `${sitting.p99} ms, ${alone.p99} ms`);
  },
});

Deno.test({
  name:
    "G11: where no socket can be ended, the places of readers that stop reading are free as well",
  fn: async () => {
    await using site = await LiveSite.open(["--idle-timeout-ms=1500"], ["--deny-ffi"]);
    await fill(site);
    const peers = await silentPeers(site, 20);
    assert.equal(await site.connections(), 20);
    await until("their places are free", async () => await site.connections() === 0, 10_000);
    const next = await silentPeers(site, 20);
    assert.equal((await site.push("good", ["beside"], 10)).status, 200);
    for (const peer of [...peers, ...next]) peer.close();
  },
});

Deno.test({
  name: "G11: a reader of one byte a second, one that vanished and one without hello are ended",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using site = await LiveSite.open(["--idle-timeout-ms=2000"]);
    await fill(site);
    await using relay = new Relay(() => site.server.url);
    const [slow] = await silentPeers(site, 1);
    assert.ok(slow);
    const mute = await RawPeer.open(site.server.url, await site.token("mute"));
    const gone = await LiveClient.open(relay.url, "default", await site.token("gone"));
    gone.send({ hello: { ...HELLO, clientId: "gone" } });
    await gone.frame("welcome");
    const { cursor } = await gone.frame("changes");
    gone.send({ ack: { cursor } });
    const lively = await LiveClient.open(site.server.url, "default", await site.token("lively"));
    lively.send({ hello: { ...HELLO, clientId: "lively" } });
    assert.equal(await site.connections(), 4);
    relay.silence();
    const trickle = setInterval(() => void slow.readBytes(1).catch(() => {}), 1_000);
    // The one that says nothing is heard by its pongs, and has ten seconds for its hello.
    await until("two are ended", async () => await site.connections() === 2, 7_000);
    await until("the third is ended", async () => await site.connections() === 1, 12_000);
    clearInterval(trickle);
    lively.send({ ping: {} });
    await lively.frame("welcome");
    await lively.close();
    for (const peer of [slow, mute]) peer.close();
    await gone.close();
  },
});

Deno.test({
  name: "G11: messages that are never finished take bounded memory, and end their connections",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using site = await LiveSite.open([]);
    const before = await site.use();
    let most = 0;
    const peers: RawPeer[] = [];
    let refused = 0;
    for (let i = 0; i < 8; i++) {
      peers.push(await RawPeer.open(site.server.url, await site.token(`hoarder-${i}`)));
    }
    const hoards = peers.map(async (peer) => {
      try {
        for (let part = 0; part < 60; part++) {
          await peer.sendPart(MIB, part === 0);
          // As a line of some 100 MB/s would bring it.
          await new Promise((resolve) => setTimeout(resolve, 60));
        }
      } catch {
        refused++;
      }
    });
    const look = setInterval(async () => {
      most = Math.max(most, (await site.use()).rssBytes);
    }, 50);
    await Promise.all(hoards);
    clearInterval(look);
    await until("their places are free", async () => await site.connections() === 0);
    console.log(
      `memory ${before.rssBytes / MIB | 0} MiB before, ${most / MIB | 0} MiB at most, ` +
        `${refused} of 8 were ended`,
    );
    for (const peer of peers) peer.close();
    assert.equal(refused, 8);
    assert.ok(most - before.rssBytes < 300 * MIB, `${most}`);
  },
});
