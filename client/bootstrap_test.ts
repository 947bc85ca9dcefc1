/** A client's first checkpoint in chunks, over lines that break and with servers of other kinds. */

import type { SchemaSpec } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Client, type ClientOptions, createClient } from "./client.ts";
import { openLocal } from "./local.ts";
import type { Progress, SyncStatus } from "./status.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { ChunkStreams, zip } from "./testing_chunks.ts";
import { copyDatabase, withFolder } from "./testing_local.ts";
import { BucketServer, errorAnswer } from "./testing_server.ts";

const schema: SchemaSpec = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
};

/** Time runs faster here. */
const SPEED = 100;
const ROWS = 40;
/** Rows of bucket `a`, of which every second one is in `b` too. */
const CHUNK_ROWS = 10;
const CHUNKS = ROWS / CHUNK_ROWS + ROWS / 2 / CHUNK_ROWS;

class World {
  readonly server = new BucketServer(new BucketGateway());
  readonly streams: ChunkStreams;
  readonly progress: Progress[] = [];
  readonly #folder: string;
  readonly #sockets: boolean;
  readonly #clients: Client[] = [];

  constructor(folder: string, sockets: boolean, buckets = ["a", "b"]) {
    this.#folder = folder;
    this.#sockets = sockets;
    const { gateway } = this.server;
    for (const id of ["a", "b"]) gateway.granted.add(id);
    for (let i = 0; i < ROWS; i++) {
      gateway.put("todos", `t${i}`, { title: `title ${i}` }, i % 2 === 0 ? ["a", "b"] : ["a"]);
    }
    this.streams = new ChunkStreams(gateway, buckets, CHUNK_ROWS);
    this.server.checkpoint = this.streams.answer;
  }

  file(name: string): string {
    return `${this.#folder}/${name}.db`;
  }

  async client(name = "a", options: Partial<ClientOptions> = {}): Promise<Client> {
    const client: Client = await createClient({
      url: "http://127.0.0.1:9",
      gateway: "default",
      database: this.file(name),
      schema,
      getToken: () => "good",
      ...options,
      environment: {
        fetch: this.server.fetch,
        openSocket: this.#sockets ? this.server.openSocket : undefined,
        setTimer: (ms, callback) => {
          const timer = setTimeout(callback, ms / SPEED);
          return () => clearTimeout(timer);
        },
      },
    });
    this.#clients.push(client);
    client.status.subscribe(({ progress }) => progress && this.progress.push(progress));
    return client;
  }

  /** What pulls and hellos went on from, as they came. */
  get cursors(): (string | undefined)[] {
    return this.server.asked.map(({ cursor }) => cursor);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
  }
}

function until(client: Client, fits: (status: SyncStatus) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = client.status.subscribe((value) => {
    if (fits(value)) resolve();
  });
  return promise.finally(stop);
}

/** Waits for the checkpoint and looks at everything that is here then. */
async function complete(client: Client, rows = ROWS): Promise<void> {
  await until(client, ({ lastCheckpoint, progress }) => {
    return lastCheckpoint !== undefined && progress === undefined;
  });
  const [row] = await client.query("SELECT count(*) AS n, count(DISTINCT title) AS d FROM todos");
  assert.deepEqual([row?.["n"], row?.["d"]], [rows, rows]);
  const verified = await client.verify();
  assert.deepEqual(verified, { buckets: 2, rows, drifts: [] });
  const [left] = await client.query(
    "SELECT (SELECT count(*) FROM _lakesync_chunk) + (SELECT count(*) FROM _lakesync_page) AS n",
  );
  assert.equal(left?.["n"], 0);
}

function test(
  name: string,
  work: (world: World) => Promise<void>,
  buckets?: string[],
): void {
  for (const sockets of [false, true]) {
    Deno.test(`${name} (${sockets ? "sockets" : "HTTP"})`, () =>
      withFolder(async (folder) => {
        const world = new World(folder, sockets, buckets);
        try {
          await work(world);
        } finally {
          await world.close();
        }
      }));
  }
}

test("a client without a cursor takes chunks first, then pulls, and asks for none with one", async (world) => {
  const client = await world.client();
  await complete(client);
  assert.deepEqual(world.streams.asked.map(({ from }) => from), [undefined]);
  assert.equal(world.cursors[0], "behind the chunks");
  const received = world.progress.filter(({ applied }) => applied === undefined);
  assert.deepEqual([...new Set(received.map(({ rows }) => rows))], [0, 10, 20, 30, 40, 50, 60]);
  assert.equal(world.progress.at(-1)?.applied, 60);
  assert.ok(world.progress.every(({ totalRows }) => totalRows === 60));
  await client.close();
  const again = await world.client();
  await until(again, ({ lastCheckpoint }) => lastCheckpoint !== undefined);
  assert.equal(world.streams.asked.length, 1);
});

Deno.test("G6: a stream that is cut anywhere goes on with the chunk it ended in", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 6 }),
      fc.boolean(),
      (cuts, sockets) =>
        withFolder(async (folder) => {
          const world = new World(folder, sockets);
          world.streams.fate = (before) => {
            const bytes = cuts[before];
            return bytes === undefined ? undefined : { kind: "cut", bytes };
          };
          try {
            await complete(await world.client());
            const { asked } = world.streams;
            for (const [i, { from = 0 }] of asked.entries()) {
              assert.ok(from >= (asked[i - 1]?.from ?? 0), "it begins where it was");
            }
            for (const [i, { rows, applied = 0 }] of world.progress.entries()) {
              assert.ok(rows >= (world.progress[i - 1]?.rows ?? 0));
              assert.ok(applied >= (world.progress[i - 1]?.applied ?? 0));
            }
          } finally {
            await world.close();
          }
        }),
    ),
    { numRuns: 25 },
  );
});

test("a stream under another etag takes the place of the chunks that are here", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "cut", bytes: 500 } : undefined;
  const client = await world.client();
  await until(client, ({ progress }) => (progress?.rows ?? 0) >= CHUNK_ROWS);
  world.server.gateway.rows.delete("todos t0");
  world.streams.etag = '"two"';
  await complete(client, ROWS - 1);
  assert.ok((world.streams.asked[1]?.from ?? 0) > 0);
});

for (
  const [what, fate, requests] of [
    ["an older server", () => new Response("Not found", { status: 404 }), 1],
    ["a gateway without the path", () => errorAnswer("NOT_FOUND"), 1],
    ["a page of something on the way", () => new Response("<html>"), 3],
  ] as const
) {
  test(`G6: ${what} in place of a stream leads to pulls`, async (world) => {
    world.streams.fate = () => ({ kind: "other", response: fate() });
    await complete(await world.client());
    assert.equal(world.streams.asked.length, requests);
    assert.equal(world.cursors[0], undefined);
  });
}

test("a stream without chunks costs one request", async (world) => {
  await complete(await world.client());
  assert.equal(world.streams.asked.length, 1);
  assert.equal(world.cursors[0], undefined);
  assert.deepEqual(world.progress, []);
}, []);

test("G6: what breaks every stream before a chunk is through leads to pulls", async (world) => {
  world.streams.fate = () => ({ kind: "cut", bytes: 120 });
  await complete(await world.client());
  assert.equal(world.streams.asked.length, 3);
  assert.equal(world.cursors[0], undefined);
});

test("G6: chunks that are here are forgotten when pulls bring everything", async (world) => {
  world.streams.fate = (before) => {
    if (before === 1) world.server.gateway.rows.delete("todos t0");
    return { kind: "cut", bytes: before === 0 ? 500 : 20 };
  };
  await complete(await world.client(), ROWS - 1);
  assert.equal(world.cursors[0], undefined);
});

test("G6: a stream that falls silent is asked for again where it was", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "silent", bytes: 500 } : undefined;
  await complete(await world.client());
  assert.ok((world.streams.asked[1]?.from ?? 0) > 0);
});

test("G6: a stream is left though its sender never hears of it", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "deaf", bytes: 500 } : undefined;
  await complete(await world.client());
  assert.ok((world.streams.asked[1]?.from ?? 0) > 0);
});

test("G6: a chunk with other bytes than were sent is asked for again", async (world) => {
  world.streams.fate = (before) =>
    before > 0 ? undefined : {
      kind: "edit",
      edit: (bytes) => bytes.map((byte, i) => i === bytes.length >> 1 ? byte ^ 0x55 : byte),
    };
  await complete(await world.client());
  assert.equal(world.streams.asked.length, 2);
});

test("G6: a stored chunk that is damaged is received anew", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "silent", bytes: 1_200 } : undefined;
  const client = await world.client();
  await until(client, ({ progress }) => (progress?.rows ?? 0) >= 2 * CHUNK_ROWS);
  const other = new DatabaseSync(world.file("a"));
  other.exec("UPDATE _lakesync_chunk SET bytes = x'0102' WHERE n = 1");
  other.close();
  await complete(client);
  assert.equal(world.streams.asked.at(-1)?.from, undefined);
});

test("a client that ends in the middle, however, goes on where it was", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "silent", bytes: 500 } : undefined;
  const client = await world.client();
  await until(client, ({ progress }) => (progress?.rows ?? 0) >= CHUNK_ROWS);
  const [row] = await client.query("SELECT count(*) AS n FROM todos");
  assert.equal(row?.["n"], 0, "nothing is shown before all is here");
  copyDatabase(world.file("a"), world.file("killed"));
  await client.close();
  const stored = world.progress.at(-1)?.rows ?? 0;
  await complete(await world.client("killed"));
  assert.equal(world.streams.asked[1]?.from, stored / CHUNK_ROWS);
  assert.equal(world.streams.asked[1]?.clientId, world.streams.asked[0]?.clientId);
  assert.ok(stored < CHUNKS * CHUNK_ROWS);
});

test("G6: pause holds a stream, and resume goes on with it", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "silent", bytes: 500 } : undefined;
  const client = await world.client();
  await until(client, ({ progress }) => (progress?.rows ?? 0) >= CHUNK_ROWS);
  client.pause();
  assert.equal(client.status.value.state, "paused");
  assert.equal(world.streams.asked.length, 1);
  client.resume();
  await complete(client);
  assert.ok((world.streams.asked[1]?.from ?? 0) > 0);
});

test("G6: a token that is refused where a stream goes on is asked for anew", async (world) => {
  let asked = 0;
  world.streams.fate = (before) => {
    if (before === 0) return { kind: "cut", bytes: 500 };
    return before === 1 ? { kind: "other", response: errorAnswer("AUTH_ERROR") } : undefined;
  };
  await complete(await world.client("a", { getToken: () => `token${++asked}` }));
  assert.deepEqual(
    world.streams.asked.map(({ token }) => token),
    ["Bearer token1", "Bearer token1", "Bearer token2"],
  );
});

test("G13: a client that gets another name in the middle goes on under it", async (world) => {
  world.streams.fate = (before) => before === 0 ? { kind: "silent", bytes: 500 } : undefined;
  let forks = 0;
  const client = await world.client();
  await until(client, ({ progress }) => (progress?.rows ?? 0) >= CHUNK_ROWS);
  world.server.onPush = () => {
    if (forks++ === 0) return errorAnswer("CLIENT_FORKED");
    world.server.gateway.put("todos", "mine", { title: "mine" }, ["a"]);
    setTimeout(() => world.server.commit(), 0);
    return undefined;
  };
  await client.exec("INSERT INTO todos VALUES ('mine', 'mine')");
  await until(client, ({ pending, lastCheckpoint }) => {
    return pending === 0 && lastCheckpoint !== undefined;
  });
  await complete(client, ROWS + 1);
  const [first, second] = world.streams.asked;
  assert.notEqual(second?.clientId, first?.clientId);
  assert.ok((second?.from ?? 0) > 0);
});

test("G6: what is pending outlives a resync in chunks", async (world) => {
  const client = await world.client();
  await complete(client);
  world.server.onPush = () => errorAnswer("BACKPRESSURE");
  await client.exec("UPDATE todos SET title = 'mine' WHERE id = 't1'");
  await client.exec("DELETE FROM todos WHERE id = 't2'");
  await client.exec("INSERT INTO todos VALUES ('new', 'new')");
  client.pause();
  await client.exec("UPDATE _lakesync_state SET cursor = NULL, replacing = 1");
  world.server.gateway.rows.delete("todos t3");
  world.streams.etag = '"two"';
  const before = client.status.value.lastCheckpoint?.seq;
  client.resume();
  await until(client, ({ lastCheckpoint }) => lastCheckpoint?.seq !== before);
  assert.equal(world.streams.asked.length, 2);
  const rows = await client.query(
    "SELECT id, title FROM todos WHERE id IN ('t1', 't2', 't3', 'new') ORDER BY id DESC",
  );
  assert.deepEqual(rows.map((row) => Object.values(row)), [["t1", "mine"], ["new", "new"]]);
  assert.deepEqual((await client.verify())?.drifts, []);
  const [count] = await client.query("SELECT count(*) AS n FROM todos");
  assert.equal(count?.["n"], ROWS - 1);
});

Deno.test("a part of a stream is taken only where the database stands", async () => {
  const db = await openLocal({ database: ":memory:", schema, watchMs: 0 });
  const { clientId } = await db.state();
  const chunk = (etag: string, number: number) =>
    ({ kind: "chunk", etag, number, place: 0, rows: 1, bytes: new Uint8Array([1]) }) as const;
  const end = (chunks: number) => ({ kind: "end", etag: "e", chunks, cursor: "c" }) as const;
  const header = { etag: "e", totalRows: 2, buckets: 1 };
  assert.equal(await db.storePart(chunk("e", 0), clientId), false, "no stream has begun");
  assert.equal(await db.storePart({ kind: "begin", header }, clientId), true);
  assert.equal(await db.storePart(chunk("e", 0), clientId), true);
  assert.equal(await db.storePart(chunk("e", 0), clientId), false, "it is here");
  assert.equal(await db.storePart(chunk("e", 2), clientId), false, "one is missing");
  assert.equal(await db.storePart(chunk("f", 1), clientId), false, "of another stream");
  assert.equal(await db.storePart(chunk("e", 1), "another"), false, "for another name");
  assert.equal(await db.storePart(end(2), clientId), false, "one is missing");
  assert.deepEqual((await db.state()).stream, { etag: "e", chunks: 1, rows: 1, totalRows: 2 });
  assert.equal(await db.storePart(end(1), clientId), true);
  assert.equal((await db.state()).cursor, "c");
  assert.equal(await db.storePart({ kind: "begin", header }, clientId), false, "it has ended");
  await db.close();
});

Deno.test("chunks of a stream that did not end are forgotten with the first page of pulls", async () => {
  const db = await openLocal({ database: ":memory:", schema, watchMs: 0 });
  const { clientId } = await db.state();
  const gateway = new BucketGateway();
  gateway.granted.add("a");
  for (const id of ["x", "y", "z"]) gateway.put("todos", id, { title: id }, ["a"]);
  const header = { etag: "e", totalRows: 3, buckets: 1 };
  await db.storePart({ kind: "begin", header }, clientId);
  for (const [number, { place, page }] of gateway.chunks(["a"], 3).entries()) {
    const bytes = await zip(page);
    await db.storePart({ kind: "chunk", etag: "e", number, place, rows: 3, bytes }, clientId);
  }
  gateway.rows.delete("todos x");
  gateway.forget();
  for (const page of gateway.pull([], 1)) await db.receive(page);
  const rows = await db.query("SELECT id FROM todos ORDER BY id");
  assert.deepEqual(rows.map(({ id }) => id), ["y", "z"]);
  await db.close();
});
