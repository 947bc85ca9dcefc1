/**
 * Databases that are copied, copied again and put back at random instants, and stamp anew what they
 * have not sent, while requests and answers are lost, against a gateway that is put back to older copies of its data, too: every transaction of
 * the app whose device still has it is in the log once.
 */

import { type LocalDatabase, openLocal } from "@lakesync/client";
import {
  decodePush,
  encodePush,
  LakeSyncError,
  type PullResult,
  type PushRequest,
  type PushResult,
} from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { StatusValue } from "../../client/status.ts";
import { copyDatabase, withFolder } from "../../client/testing_local.ts";
import { OfflineError } from "../../client/transport/problem.ts";
import { Upload, type UploadContext } from "../../client/upload.ts";
import type { Gateway } from "../../server/gateway/gateway.ts";
import { readLogPayload } from "../../server/gateway/log.ts";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { ALICE, type Fixture, openFixture } from "../../server/gateway/testing_fixture.ts";
import { type DiskSnapshot, SimDisk } from "../sim/disk.ts";
import { diskStores } from "../sim/disk_store.ts";

const SCHEMA = {
  version: 1,
  tables: {
    txs: { primaryKey: ["id"], columns: { id: "string", kind: "string" } },
    totals: {
      primaryKey: ["id"],
      columns: { id: "string", n: { type: "integer", merge: "counter" } },
    },
  },
} as const;

const RULES = {
  buckets: [{ name: "all", tables: ["txs", "totals"] }],
  write: [
    { tables: ["txs"], ops: ["INSERT"], filters: [{ column: "kind", op: "neq", value: "bad" }] },
    { tables: ["totals"], ops: ["INSERT", "UPDATE"] },
  ],
};

const LIMIT = 1_000;
const MAX_DEVICES = 5;

/** What becomes of a push; the app may write while it is under way. */
type Fate = "arrives" | "app writes" | "request lost" | "answer lost" | "gateway goes back";

/** A database on a device, and the app's transactions that are in it. */
interface Device {
  path: string;
  db: LocalDatabase<typeof SCHEMA>;
  txs: Set<string>;
  /** Those that are refused, whoever sends them. */
  bad: Set<string>;
}

/** What happens; devices are picked by number, and so are copies of the gateway. */
type Act =
  | { readonly do: "write" | "write badly"; readonly device: number; readonly count: number }
  | { readonly do: "back up" | "go back"; readonly device: number }
  | { readonly do: "push"; readonly device: number; readonly fates: readonly Fate[] }
  | { readonly do: Simple; readonly device: number };

type Simple = "pull" | "copy" | "save" | "restore" | "reopen" | "stamp anew";

/** A gateway that goes back to copies of its data. */
class Host {
  readonly #disk = new SimDisk();
  readonly #copies: DiskSnapshot[] = [];
  #fixture: Fixture | undefined;
  #gateway: Gateway | undefined;

  async start(): Promise<void> {
    const disk = this.#disk.mount();
    const stores = diskStores({ disk, randomId: () => crypto.randomUUID() });
    this.#fixture = await openFixture(stores, { now: () => Date.now() });
    this.#gateway = await this.#fixture.gateways.create("copies");
    await this.#gateway.putSchema(SCHEMA);
    await this.#gateway.putRules(RULES, LIMIT);
    if (this.#copies.length === 0) this.backUp();
  }

  get gateway(): Gateway {
    assert.ok(this.#gateway);
    return this.#gateway;
  }

  backUp(): void {
    this.#copies.push(this.#disk.snapshot());
  }

  async goBack(which: number): Promise<void> {
    const copy = this.#copies[which % this.#copies.length];
    assert.ok(copy);
    await this.stop();
    this.#disk.restore(copy);
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#fixture?.[Symbol.asyncDispose]();
    this.#fixture = undefined;
  }
}

class Copies {
  readonly #folder: string;
  readonly #host: Host;
  readonly #devices: Device[] = [];
  readonly #saved = new Map<Device, Pick<Device, "path" | "txs" | "bad">>();
  #files = 0;
  #written = 0;

  constructor(folder: string, host: Host) {
    this.#folder = folder;
    this.#host = host;
  }

  #path(): string {
    return `${this.#folder}/${this.#files++}.db`;
  }

  async #open(path: string): Promise<Device["db"]> {
    return await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
  }

  async addDevice(): Promise<Device> {
    const path = this.#path();
    const db = await this.#open(path);
    const device = { path, db, txs: new Set<string>(), bad: new Set<string>() };
    this.#devices.push(device);
    return device;
  }

  async play(act: Act): Promise<void> {
    if (act.do === "back up") return this.#host.backUp();
    if (act.do === "go back") return await this.#host.goBack(act.device);
    const device = this.#devices[act.device % this.#devices.length];
    if (device === undefined) return;
    switch (act.do) {
      case "write":
        for (let i = 0; i < act.count; i++) await this.#write(device);
        return;
      case "write badly":
        return await this.#write(device, "bad");
      case "push":
        return void await this.#push(device, act.fates);
      case "pull":
        return await this.#pull(device);
      case "copy": {
        if (this.#devices.length >= MAX_DEVICES) return;
        const path = this.#path();
        copyDatabase(device.path, path);
        const db = await this.#open(path);
        const { txs, bad } = device;
        return void this.#devices.push({ path, db, txs: new Set(txs), bad: new Set(bad) });
      }
      case "save": {
        const path = this.#path();
        copyDatabase(device.path, path);
        const { txs, bad } = device;
        return void this.#saved.set(device, { path, txs: new Set(txs), bad: new Set(bad) });
      }
      case "restore": {
        const saved = this.#saved.get(device);
        if (saved === undefined) return;
        await device.db.close();
        device.path = this.#path();
        copyDatabase(saved.path, device.path);
        device.db = await this.#open(device.path);
        device.txs = new Set(saved.txs);
        device.bad = new Set(saved.bad);
        return;
      }
      case "stamp anew": {
        const { settledMutationId } = await device.db.state();
        return await device.db.restamp(settledMutationId + 1);
      }
      case "reopen":
        await device.db.close();
        device.db = await this.#open(device.path);
    }
  }

  /** A bad one is refused, and then no device has it. */
  async #write(device: Device, kind = "good"): Promise<void> {
    const id = `${kind}${this.#written++}`;
    await device.db.transaction(async (tx) => {
      await tx.exec("INSERT INTO txs VALUES (?, ?)", [id, kind]);
      if (kind === "bad") return;
      await tx.exec("INSERT INTO totals VALUES ('all', 0) ON CONFLICT DO NOTHING");
      await tx.exec("UPDATE totals SET n = n + 1 WHERE id = 'all'");
    });
    (kind === "good" ? device.txs : device.bad).add(id);
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
      const { result } = await this.#host.gateway.push(ALICE, decodePush(encodePush(request)));
      if (fate === "answer lost") throw lost();
      if (fate === "gateway goes back") await this.#host.goBack(pushes);
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
      const { clientId, cursor, settledMutationId } = await db.state();
      let page: PullResult;
      try {
        page = await this.#host.gateway.pull(ALICE, {
          clientId,
          schemaVersion: 1,
          limit: LIMIT,
          ...(cursor === undefined ? {} : { cursor }),
        });
      } catch (error) {
        assert.ok(error instanceof LakeSyncError && error.code === "RESYNC_REQUIRED");
        await db.resync();
        continue;
      }
      const { complete } = await db.receive(page, { clientId, cursor, settledMutationId });
      if (complete) return;
    }
  }

  /** Lets everything arrive, and holds the log and all databases to what was written. */
  async check(): Promise<void> {
    for (let pushes = 1, round = 0; pushes > 0; round++) {
      assert.ok(round < 10, "The devices send for ever");
      pushes = 0;
      for (const device of this.#devices) {
        await this.#pull(device);
        pushes += await this.#push(device, []);
      }
    }
    for (const device of this.#devices) await this.#pull(device);
    const logged = await this.#logged();
    const once = [...new Set(logged)].sort();
    assert.deepEqual([...logged].sort(), once, "transactions in the log");
    const alive = new Set(this.#devices.flatMap(({ txs }) => [...txs]));
    assert.deepEqual([...alive].filter((id) => !once.includes(id)), [], "lost transactions");
    for (const { db, bad } of this.#devices) {
      const told = new Set(
        (await db.deadLetters()).flatMap(({ changes }) => changes)
          .map(({ rowId }) => rowId),
      );
      assert.deepEqual([...bad].filter((id) => !told.has(id)), [], "refusals that are not told");
      const rows = await db.query("SELECT id FROM txs ORDER BY id");
      assert.deepEqual(rows.map(({ id }) => id), once);
      const [total] = await db.query("SELECT n FROM totals");
      assert.equal(total?.["n"] ?? 0, once.length, "the counter");
    }
  }

  async #logged(): Promise<string[]> {
    const { store } = this.#host.gateway as OpenGateway;
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
    const host = new Host();
    const copies = new Copies(folder, host);
    try {
      await host.start();
      await copies.addDevice();
      for (const act of acts) await copies.play(act);
      await copies.check();
    } finally {
      await copies.close();
      await host.stop();
    }
  });
}

const device = fc.nat({ max: MAX_DEVICES - 1 });

function fates(...more: readonly Fate[]): fc.Arbitrary<Fate[]> {
  return fc.array(
    fc.constantFrom<Fate>("arrives", "app writes", "request lost", "answer lost", ...more),
    { maxLength: 3 },
  );
}

/** Acts of devices, and as many of the gateway as are wanted. */
function act(goesBack: number, badly: number): fc.Arbitrary<Act> {
  const simple = (name: Simple | "back up" | "go back") =>
    fc.record({ do: fc.constant(name), device });
  const writes = (name: "write" | "write badly") =>
    fc.record({ do: fc.constant(name), device, count: fc.integer({ min: 1, max: 3 }) });
  const ends = goesBack > 0 ? fates("gateway goes back") : fates();
  return fc.oneof(
    { weight: 5, arbitrary: writes("write") },
    { weight: badly, arbitrary: writes("write badly") },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("push" as const), device, fates: ends }),
    },
    { weight: goesBack, arbitrary: simple("back up") },
    { weight: goesBack, arbitrary: simple("go back") },
    { weight: 2, arbitrary: simple("pull") },
    { weight: 2, arbitrary: simple("copy") },
    { weight: 1, arbitrary: simple("save") },
    { weight: 2, arbitrary: simple("restore") },
    { weight: 1, arbitrary: simple("reopen") },
    { weight: 1, arbitrary: simple("stamp anew") },
  );
}

Deno.test("G13: copies at any instant, and copies of copies, lose and double no transaction", async () => {
  const acts = fc.array(act(0, 0), { minLength: 5, maxLength: 30 });
  await fc.assert(fc.asyncProperty(acts, playAll), { numRuns: 100 });
});

Deno.test("G13: copies and a gateway that goes back lose and double no transaction", async () => {
  const acts = fc.array(act(2, 0), { minLength: 5, maxLength: 40 });
  await fc.assert(fc.asyncProperty(acts, playAll), { numRuns: 100 });
});

Deno.test("G13: nor do they where transactions are refused", async () => {
  const acts = fc.array(act(2, 1), { minLength: 5, maxLength: 40 });
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

Deno.test("G6: a copy learns what was refused of what it has in common with another", async () => {
  await playAll([
    { do: "write", device: 0, count: 1 },
    { do: "write badly", device: 0, count: 1 },
    { do: "write", device: 0, count: 1 },
    { do: "copy", device: 0 },
    { do: "write", device: 0, count: 1 },
    { do: "write", device: 1, count: 1 },
    { do: "push", device: 0, fates: [] },
    { do: "push", device: 1, fates: [] },
  ]);
});
