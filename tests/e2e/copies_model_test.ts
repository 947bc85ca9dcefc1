/**
 * Databases that are copied, copied again and put back at random instants, while requests and answers
 * are lost, against a gateway in memory: every transaction of the app is in the log once.
 */

import { type LocalDatabase, openLocal } from "@lakesync/client";
import { decodePush, encodePush, type PushRequest, type PushResult } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { StatusValue } from "../../client/status.ts";
import { copyDatabase, withFolder } from "../../client/testing_local.ts";
import { OfflineError } from "../../client/transport/problem.ts";
import { Upload, type UploadContext } from "../../client/upload.ts";
import type { Gateway } from "../../server/gateway/gateway.ts";
import { readLogPayload } from "../../server/gateway/log.ts";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { ALICE, openFixture } from "../../server/gateway/testing_fixture.ts";

const SCHEMA = {
  version: 1,
  tables: {
    txs: { primaryKey: ["id"], columns: { id: "string" } },
    totals: {
      primaryKey: ["id"],
      columns: { id: "string", n: { type: "integer", merge: "counter" } },
    },
  },
} as const;

const LIMIT = 1_000;
const MAX_DEVICES = 5;

/** What becomes of a push; the app may write while it is under way. */
type Fate = "arrives" | "app writes" | "request lost" | "answer lost";

/** A database on a device, and the app's transactions that are in it. */
interface Device {
  path: string;
  db: LocalDatabase<typeof SCHEMA>;
  txs: Set<string>;
}

/** What happens; devices are picked by number. */
type Act =
  | { readonly do: "write"; readonly device: number; readonly count: number }
  | { readonly do: "push"; readonly device: number; readonly fates: readonly Fate[] }
  | { readonly do: "pull" | "copy" | "save" | "restore" | "reopen"; readonly device: number };

class Copies {
  readonly #folder: string;
  readonly #gateway: Gateway;
  readonly #devices: Device[] = [];
  readonly #saved = new Map<Device, { readonly path: string; readonly txs: ReadonlySet<string> }>();
  #files = 0;
  #written = 0;

  constructor(folder: string, gateway: Gateway) {
    this.#folder = folder;
    this.#gateway = gateway;
  }

  #path(): string {
    return `${this.#folder}/${this.#files++}.db`;
  }

  async #open(path: string): Promise<Device["db"]> {
    return await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
  }

  async addDevice(): Promise<Device> {
    const path = this.#path();
    const device = { path, db: await this.#open(path), txs: new Set<string>() };
    this.#devices.push(device);
    return device;
  }

  async play(act: Act): Promise<void> {
    const device = this.#devices[act.device % this.#devices.length];
    if (device === undefined) return;
    switch (act.do) {
      case "write":
        for (let i = 0; i < act.count; i++) await this.#write(device);
        return;
      case "push":
        return void await this.#push(device, act.fates);
      case "pull":
        return await this.#pull(device);
      case "copy": {
        if (this.#devices.length >= MAX_DEVICES) return;
        const path = this.#path();
        copyDatabase(device.path, path);
        const db = await this.#open(path);
        return void this.#devices.push({ path, db, txs: new Set(device.txs) });
      }
      case "save": {
        const path = this.#path();
        copyDatabase(device.path, path);
        return void this.#saved.set(device, { path, txs: new Set(device.txs) });
      }
      case "restore": {
        const saved = this.#saved.get(device);
        if (saved === undefined) return;
        await device.db.close();
        device.path = this.#path();
        copyDatabase(saved.path, device.path);
        device.db = await this.#open(device.path);
        device.txs = new Set(saved.txs);
        return;
      }
      case "reopen":
        await device.db.close();
        device.db = await this.#open(device.path);
    }
  }

  async #write(device: Device): Promise<void> {
    const id = `t${this.#written++}`;
    await device.db.transaction(async (tx) => {
      await tx.exec("INSERT INTO txs VALUES (?)", [id]);
      await tx.exec("INSERT INTO totals VALUES ('all', 0) ON CONFLICT DO NOTHING");
      await tx.exec("UPDATE totals SET n = n + 1 WHERE id = 'all'");
    });
    device.txs.add(id);
  }

  /** Runs the client's upload until there is nothing to send, or something was lost. */
  async #push(device: Device, fates: readonly Fate[]): Promise<number> {
    const { db } = device;
    const left = [...fates];
    const ended = Promise.withResolvers<void>();
    let pushes = 0;
    const push = async (request: PushRequest): Promise<PushResult> => {
      if (++pushes > 200) throw new Error("The client sends for ever");
      const fate = left.shift() ?? "arrives";
      const lost = () => {
        ended.resolve();
        return new OfflineError("Lost");
      };
      if (fate === "request lost") throw lost();
      const { result } = await this.#gateway.push(ALICE, decodePush(encodePush(request)));
      if (fate === "answer lost") throw lost();
      if (fate === "app writes") {
        await this.#write(device);
        await this.#write(device);
      }
      assert.ok(result);
      return result;
    };
    const replica = new Proxy(db, {
      get: (target, name) => {
        if (name !== "nextBatch") {
          const value = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        }
        return async (...args: Parameters<typeof db.nextBatch>) => {
          const batch = await target.nextBatch(...args);
          if (batch === undefined) ended.resolve();
          return batch;
        };
      },
    });
    const failed = Promise.withResolvers<never>();
    const context = {
      env: {
        now: () => Date.now(),
        random: () => 0.5,
        setTimer: (ms: number) => {
          failed.reject(new Error(`The client waits ${ms} ms: ${JSON.stringify(status.value)}`));
          return () => {};
        },
      },
      replica,
      http: { push },
      status: new StatusValue(),
      onServerTime: async () => {},
      onNeedsToken: () => {},
      onPushed: async () => {},
      rename: (step: () => Promise<void>) => step(),
    };
    const { status } = context;
    const upload = new Upload(context as unknown as UploadContext);
    upload.resume();
    try {
      await Promise.race([ended.promise, failed.promise]);
    } finally {
      await upload.close();
    }
    return pushes;
  }

  async #pull({ db }: Device): Promise<void> {
    for (;;) {
      const { clientId, cursor } = await db.state();
      const page = await this.#gateway.pull(ALICE, {
        clientId,
        schemaVersion: 1,
        limit: LIMIT,
        ...(cursor === undefined ? {} : { cursor }),
      });
      const { complete } = await db.receive(page, { clientId, cursor });
      if (complete) return;
    }
  }

  /** Lets everything arrive, and holds the log and all databases to what was written. */
  async check(): Promise<void> {
    for (let pushes = 1, round = 0; pushes > 0; round++) {
      assert.ok(round < 10, "The devices send for ever");
      pushes = 0;
      for (const device of this.#devices) {
        pushes += await this.#push(device, []);
        await this.#pull(device);
      }
    }
    for (const device of this.#devices) await this.#pull(device);
    const logged = await this.#logged();
    const once = [...new Set(logged)].sort();
    assert.deepEqual([...logged].sort(), once, "transactions in the log");
    const alive = new Set(this.#devices.flatMap(({ txs }) => [...txs]));
    assert.deepEqual([...alive].filter((id) => !once.includes(id)), [], "lost transactions");
    for (const { db } of this.#devices) {
      const rows = await db.query("SELECT id FROM txs ORDER BY id");
      assert.deepEqual(rows.map(({ id }) => id), once);
      const [total] = await db.query("SELECT n FROM totals");
      assert.equal(total?.["n"] ?? 0, once.length, "the counter");
    }
  }

  async #logged(): Promise<string[]> {
    const { store } = this.#gateway as OpenGateway;
    const ids: string[] = [];
    for (const { payload } of await store.readLog({ seq: 0, slice: 0 }, 10_000)) {
      for (const { delta } of readLogPayload(payload)) {
        if (delta.shape.table === "txs") ids.push(delta.rowId);
      }
    }
    return ids;
  }

  async close(): Promise<void> {
    for (const { db } of this.#devices) await db.close();
  }
}

/** Plays acts on one device and its copies, and checks what came of it. */
async function playAll(acts: readonly Act[]): Promise<void> {
  await withFolder(async (folder) => {
    await using fixture = await openFixture(undefined, { now: () => Date.now() });
    const gateway = await fixture.gateways.create("copies");
    await gateway.putSchema(SCHEMA);
    const copies = new Copies(folder, gateway);
    try {
      await copies.addDevice();
      for (const act of acts) await copies.play(act);
      await copies.check();
    } finally {
      await copies.close();
    }
  });
}

const device = fc.nat({ max: MAX_DEVICES - 1 });
const fates = fc.array(
  fc.constantFrom<Fate>("arrives", "app writes", "request lost", "answer lost"),
  { maxLength: 3 },
);

function act(count: fc.Arbitrary<number>): fc.Arbitrary<Act> {
  const simple = (name: "pull" | "copy" | "save" | "restore" | "reopen") =>
    fc.record({ do: fc.constant(name), device });
  return fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("write" as const), device, count }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("push" as const), device, fates }) },
    { weight: 2, arbitrary: simple("pull") },
    { weight: 2, arbitrary: simple("copy") },
    { weight: 1, arbitrary: simple("save") },
    { weight: 2, arbitrary: simple("restore") },
    { weight: 1, arbitrary: simple("reopen") },
  );
}

Deno.test("G13: copies at any instant, and copies of copies, lose and double no transaction", async () => {
  const acts = fc.array(act(fc.integer({ min: 1, max: 3 })), { minLength: 5, maxLength: 30 });
  await fc.assert(fc.asyncProperty(acts, playAll), { numRuns: 100 });
});

Deno.test("G13: an answer that counts another device's transactions settles none of one's own", async () => {
  await playAll([
    { do: "write", device: 0, count: 1 },
    { do: "copy", device: 0 },
    { do: "write", device: 0, count: 3 },
    { do: "push", device: 0, fates: [] },
    { do: "push", device: 1, fates: ["app writes", "request lost"] },
  ]);
});

Deno.test("G13: a device that goes back to before its fork is known again", async () => {
  await playAll([
    { do: "write", device: 0, count: 1 },
    { do: "copy", device: 0 },
    { do: "write", device: 0, count: 1 },
    { do: "write", device: 1, count: 2 },
    { do: "save", device: 1 },
    { do: "push", device: 0, fates: [] },
    { do: "push", device: 1, fates: ["arrives", "answer lost"] },
    { do: "restore", device: 1 },
    { do: "write", device: 1, count: 1 },
  ]);
});

Deno.test("G13: a copy whose pending writes are far behind what the gateway has doubles none", async () => {
  await playAll([
    { do: "write", device: 0, count: 3 },
    { do: "copy", device: 0 },
    { do: "copy", device: 0 },
    { do: "write", device: 1, count: 2 },
    { do: "write", device: 0, count: 250 },
    { do: "push", device: 0, fates: [] },
    { do: "push", device: 1, fates: [] },
    { do: "push", device: 2, fates: ["app writes", "answer lost"] },
  ]);
});
