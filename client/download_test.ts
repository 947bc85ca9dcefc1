/** The connection, stepped by hand. */

import assert from "node:assert/strict";
import type { Hlc, PullResult } from "@lakesync/core";
import { Download, type DownloadContext } from "./download.ts";
import { StatusValue } from "./status.ts";

const PAGE: PullResult = {
  changes: [],
  cursor: "c",
  complete: true,
  lastMutationId: 0,
  serverHlc: 1n as Hlc,
  checkpoint: { seq: 1, buckets: [] },
};

Deno.test("G6: uploads go on after a page that was under way when a token was refused twice", async () => {
  const received: ((applied: unknown) => void)[] = [];
  const arrived: (() => void)[] = [];
  const nextReceive = () => new Promise<void>((resolve) => arrived.push(resolve));
  let allowed = 0;
  const context = {
    env: { now: () => 0, random: () => 0, setTimer: () => () => {}, openSocket: undefined },
    replica: {
      state: () =>
        Promise.resolve({ clientId: "a", cursor: "b", repair: [], settledMutationId: 0 }),
      receive: () =>
        new Promise((resolve) => {
          received.push(resolve);
          arrived.shift()?.();
        }),
    },
    http: { pull: () => Promise.resolve(PAGE) },
    tokens: { forget: () => {} },
    status: new StatusValue(),
    liveUrl: "",
    onServerTime: () => Promise.resolve(),
    onOnline: () => {},
    onNeedsToken: () => {},
    onAllowed: () => allowed++,
    onCheckpoint: () => {},
  } as unknown as DownloadContext;
  const download = new Download(context);
  const turn = () => new Promise<void>((resolve) => void setTimeout(resolve, 0));
  const first = nextReceive();
  download.fire("resume");
  await first;
  download.fire("unauthorized");
  received[0]?.({ complete: true, dropped: false });
  await turn();
  assert.deepEqual([download.state, allowed], ["needs-token", 1]);
  // The push that was sent since is refused as well.
  download.fire("unauthorized");
  const second = nextReceive();
  download.fire("retry");
  await second;
  received[1]?.({ complete: true, dropped: false });
  await turn();
  assert.equal(allowed, 2);
  download.fire("close");
  received[2]?.({ complete: true, dropped: false });
  await download.settled();
});
