/**
 * The gateway process is killed at random instants while clients push. What was acknowledged must
 * be there, once, and nothing in part.
 */

import assert from "node:assert/strict";
import {
  createClock,
  decodePullResult,
  decodePushResult,
  type Delta,
  encodePull,
  encodePush,
  type HybridClock,
  PROTOBUF_TYPE,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type Shape,
} from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";

const SECRET = "crash tests use this secret of many characters";
const CLIENTS = 8;
const KILLS = Number(Deno.env.get("LAKESYNC_TEST_KILLS") ?? "200");
const ROWS = 3;

const SCHEMA = {
  version: 1,
  tables: {
    notes: { primaryKey: ["id"], columns: { id: "string", owner: "string", tx: "integer" } },
  },
};
const SHAPE: Shape = { op: "INSERT", table: "notes", columns: ["owner", "tx"] };

class Gone extends Error {}

/** A client that pushes its transactions one after the other, again until each is answered. */
class Pusher {
  acknowledged = 0;
  #unanswered: PushRequest | undefined;

  constructor(
    readonly server: ServerProcess,
    readonly token: string,
    readonly clientId: string,
    readonly clock: HybridClock,
  ) {}

  async pushOnce(): Promise<void> {
    const next = this.acknowledged + 1;
    this.#unanswered ??= {
      clientId: this.clientId,
      schemaVersion: 1,
      transactions: [0, 1, 2].map((i) => ({
        mutationId: next + i,
        deltas: this.#deltas(next + i),
      })),
    };
    const result = decodePushResult(
      await post(this.server, this.token, "push", encodePush(this.#unanswered)),
    );
    assert.deepEqual(result.rejected, []);
    assert.equal(result.lastMutationId, next + 2);
    this.acknowledged = next + 2;
    this.#unanswered = undefined;
  }

  #deltas(mutationId: number): Delta[] {
    return Array.from({ length: ROWS }, (_, row) => ({
      shape: SHAPE,
      rowId: `${this.clientId}.${mutationId}.${row}`,
      hlc: this.clock.tick(),
      values: [this.clientId, mutationId],
      deltaId: undefined,
    }));
  }
}

async function post(
  server: ServerProcess,
  token: string,
  path: string,
  body: Uint8Array,
): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(`${server.url}/v1/sync/default/${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": PROTOBUF_TYPE,
        accept: PROTOBUF_TYPE,
      },
      body: new Uint8Array(body),
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    if (response.ok) return answer;
  } catch (cause) {
    throw new Gone("The gateway is gone", { cause });
  }
  if (response.status === 503) throw new Gone("The gateway is draining");
  throw new Error(`The gateway answered ${response.status}`);
}

async function pullAll(
  server: ServerProcess,
  token: string,
): Promise<Map<string, PullResult["changes"][number]>> {
  const rows = new Map<string, PullResult["changes"][number]>();
  let request: PullRequest = { clientId: "reader", limit: 10_000, schemaVersion: 1 };
  for (;;) {
    const page = decodePullResult(await post(server, token, "pull", encodePull(request)));
    for (const change of page.changes) rows.set(change.rowId, change);
    if (page.complete) return rows;
    request = { ...request, cursor: page.cursor };
  }
}

for (const store of ["sqlite", "kv"] as const) {
  const kills = store === "sqlite" ? KILLS : Math.ceil(KILLS / 10);
  Deno.test(`G1 G2 G5: ${kills} SIGKILLs under ${CLIENTS} pushing clients lose, double and halve nothing (${store})`, async () => {
    const data = await Deno.makeTempDir({ prefix: "lakesync-crash-" });
    const secret = SECRET;
    await using server = new ServerProcess({ data, secret, store });
    await server.start();
    const admin = await signToken({ secret, sub: "admin", gw: "default", role: "admin" });
    const put = await fetch(`${server.url}/v1/admin/schema/default`, {
      method: "PUT",
      headers: { authorization: `Bearer ${admin}`, "content-type": "application/json" },
      body: JSON.stringify(SCHEMA),
    });
    assert.equal(put.status, 200, await put.text());
    const token = await signToken({ secret, sub: "pusher", gw: "default" });
    const clock = createClock(() => Date.now());
    const pushers = Array.from(
      { length: CLIENTS },
      (_, i) => new Pusher(server, token, `c${i}`, clock),
    );
    for (let kill = 0; kill < kills; kill++) {
      let running = true;
      const first = Promise.withResolvers<void>();
      const work = pushers.map(async (pusher) => {
        while (running) {
          try {
            await pusher.pushOnce();
            first.resolve();
          } catch (error) {
            if (error instanceof Gone) return;
            throw error;
          }
        }
      });
      await first.promise;
      const { promise: instant, resolve } = Promise.withResolvers<void>();
      setTimeout(resolve, Math.random() * 30);
      await instant;
      await server.kill();
      running = false;
      await Promise.all(work);
      await server.start();
    }
    const acknowledged = pushers.map((pusher) => pusher.acknowledged);
    const rows = await pullAll(server, token);
    for (const [i, count] of acknowledged.entries()) {
      for (let tx = 1; tx <= count; tx++) {
        for (let row = 0; row < ROWS; row++) {
          assert.deepEqual(rows.get(`c${i}.${tx}.${row}`)?.values, [`c${i}`, tx]);
        }
      }
    }
    const perTransaction = new Map<string, number>();
    for (const id of rows.keys()) {
      const tx = id.slice(0, id.lastIndexOf("."));
      perTransaction.set(tx, (perTransaction.get(tx) ?? 0) + 1);
    }
    for (const [tx, count] of perTransaction) assert.equal(count, ROWS, `${tx} is there in part`);
    const log = await logEntries(server, admin);
    assert.equal(log, perTransaction.size, "a transaction was applied twice");
    for (const pusher of pushers) await pusher.pushOnce();
    await server.stop();
    await Deno.remove(data, { recursive: true });
  });
}

async function logEntries(server: ServerProcess, admin: string): Promise<number> {
  const response = await fetch(`${server.url}/v1/admin/stats/default`, {
    headers: { authorization: `Bearer ${admin}` },
  });
  const { log } = await response.json();
  return log.entries;
}
