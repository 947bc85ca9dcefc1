/** A first checkpoint in chunks, with a real gateway process and lines that break. */

import type { SyncStatus } from "@lakesync/client";
import { decodePullResult, encodePullResult, type RowChange, type RulesSpec } from "@lakesync/core";
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { Proxy, Relay } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { converged, fastTimers, NOTES, type NotesClient, World } from "./world.ts";

/** Enough for chunks, of which there are three, of about 20, 20 and 10 kB. */
const ROWS = 12_000;
const CHUNKS = 3;

async function fill(world: World): Promise<NotesClient> {
  const writer = await world.notes("writer");
  await writer.transaction(async (tx) => {
    for (let i = 0; i < ROWS; i++) {
      await tx.exec("INSERT INTO notes VALUES (?, ?, 'open')", [`n${i}`, `Note number ${i}`]);
    }
  });
  await synced(writer);
  return writer;
}

async function count(
  client: NotesClient,
  sql = "SELECT count(*) AS n FROM notes",
): Promise<number> {
  const [row] = await client.query(sql);
  return Number(row?.["n"]);
}

const done = ({ lastCheckpoint, progress }: SyncStatus) =>
  lastCheckpoint !== undefined && progress === undefined;

/** Passes so many bytes, then ends too early or waits for ever. */
function cutAfter(
  body: ReadableStream<Uint8Array>,
  bytes: number,
  ends = false,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = bytes;
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done) return controller.close();
      controller.enqueue(value.slice(0, left));
      left -= value.length;
      if (left > 0) return;
      if (!ends) return await new Promise(() => {});
      await reader.cancel();
      controller.close();
    },
    cancel: () => reader.cancel(),
  }, { highWaterMark: 0 });
}

/** Changes the chunks of a stream, which are read whole. */
function editChunks(
  body: ReadableStream<Uint8Array>,
  edit: (chunk: Uint8Array, number: number) => Uint8Array,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller) {
      const bytes = new Uint8Array(await new Response(body).arrayBuffer());
      let number = 0;
      for (let at = 0; at < bytes.length;) {
        const view = new DataView(bytes.buffer, at);
        const end = at + 5 + view.getUint32(0);
        let frame = bytes.slice(at, end);
        if (view.getUint8(4) === 2) {
          const chunk = edit(frame.slice(9), number++);
          const edited = new Uint8Array(9 + chunk.length);
          edited.set(frame.subarray(0, 9));
          edited.set(chunk, 9);
          new DataView(edited.buffer).setUint32(0, 4 + chunk.length);
          frame = edited;
        }
        controller.enqueue(frame);
        at = end;
      }
      controller.close();
    },
  });
}

for (const [way, environment] of [["sockets", {}], ["HTTP", { openSocket: undefined }]] as const) {
  Deno.test(`G6: a first checkpoint goes on in the middle of a chunk where the line was cut over ${way}`, async () => {
    await using world = await World.open();
    const writer = await fill(world);
    await using relay = new Relay(() => world.server.url);
    // In the first chunk, in the second one, and once more there.
    relay.cuts.push(10_000, 30_000, 10_000);
    const phone = await world.notes("phone", { url: relay.url, environment });
    const shown: number[] = [];
    phone.status.subscribe(({ progress }) => shown.push(progress?.rows ?? Infinity));
    const query = phone.live("SELECT count(*) AS n FROM notes", [], ([row]) => {
      assert.ok([0, ROWS].includes(Number(row?.["n"])), "all of it or nothing");
    });
    await statusOf(phone, done);
    query.close();
    assert.deepEqual(relay.cuts, []);
    const rows = shown.filter((rows) => rows < Infinity);
    assert.deepEqual(rows, [...rows].sort((a, b) => a - b));
    assert.equal(rows.at(-1), ROWS);
    assert.deepEqual(await phone.verify(), { buckets: 1, rows: ROWS, drifts: [] });
    await converged("notes", [writer, phone]);
  });

  Deno.test(`G6: a client that was killed between two chunks goes on, and a resync keeps what is pending, over ${way}`, async () => {
    await using world = await World.open();
    const writer = await fill(world);
    await using proxy = new Proxy(() => world.server.url);
    proxy.body = ({ kind, before }, body) =>
      kind === "checkpoint" && before === 0 ? cutAfter(body, 30_000) : body;
    const first = await world.notes("first", { url: proxy.url, environment });
    await statusOf(first, ({ progress }) => (progress?.rows ?? 0) >= ROWS / CHUNKS);
    await world.copyDatabase("first", "second");
    await first.close();
    const second = await world.notes("second", { url: proxy.url, environment, autoStart: false });
    assert.equal(await count(second), 0);
    const stored = await count(second, "SELECT count(*) AS n FROM _lakesync_chunk");
    assert.ok(stored > 0 && stored < CHUNKS);
    await second.exec("UPDATE notes SET title = 'nothing is there yet'");
    await second.exec("INSERT INTO notes VALUES ('n1', 'written before', NULL)");
    second.resume();
    await statusOf(second, done);
    await synced(second);
    assert.equal(await count(second), ROWS);
    await converged("notes", [writer, second]);

    const before = proxy.count("checkpoint");
    second.pause();
    await second.exec("UPDATE notes SET status = 'mine' WHERE id IN ('n2', 'n11999')");
    await second.exec("DELETE FROM notes WHERE id = 'n3'");
    await writer.exec("DELETE FROM notes WHERE id = 'n4'");
    await writer.exec("UPDATE notes SET title = 'theirs' WHERE id = 'n2'");
    await synced(writer);
    await world.server.kill();
    await world.server.start();
    await second.exec("INSERT INTO notes VALUES ('new', 'new', NULL)");
    await second.close();
    const forgetful = await world.notes("second", {
      url: proxy.url,
      environment,
      autoStart: false,
    });
    const { DatabaseSync } = await import("node:sqlite");
    const other = new DatabaseSync(world.file("second"));
    other.exec("UPDATE _lakesync_state SET cursor = NULL, replacing = 1");
    other.close();
    proxy.treat = ({ kind }) => kind === "push" ? "refuse" : "pass";
    forgetful.resume();
    await statusOf(forgetful, done);
    assert.equal(proxy.count("checkpoint"), before + 1);
    const rows = await forgetful.query(
      "SELECT * FROM notes WHERE id IN ('n2', 'n3', 'n4', 'new') ORDER BY id",
    );
    assert.deepEqual(rows.map((row) => Object.values(row)), [
      ["n2", "theirs", "mine"],
      ["new", "new", null],
    ]);
    proxy.treat = () => "pass";
    forgetful.resume();
    await synced(forgetful);
    assert.equal(await count(forgetful), ROWS - 1);
    assert.deepEqual((await forgetful.verify())?.drifts, []);
    await converged("notes", [writer, forgetful]);
  });

  Deno.test(`G9: a chunk with other bytes comes again, and one with other rows is found and repaired over ${way}`, async () => {
    await using world = await World.open();
    const writer = await fill(world);
    await using proxy = new Proxy(() => world.server.url);
    const liar = ([first, ...rest]: readonly RowChange[]): RowChange[] => {
      assert.ok(first !== undefined);
      return [{ ...first, values: first.values.map(() => "a lie") }, ...rest.slice(2)];
    };
    proxy.body = ({ kind, before }, body) => {
      if (kind !== "checkpoint") return body;
      return editChunks(body, (chunk, number) => {
        if (number !== 1 && before === 0) return chunk;
        if (before === 0) return chunk.map((byte, i) => i === 5_000 ? byte ^ 1 : byte);
        if (number !== 0) return chunk;
        const page = decodePullResult(new Uint8Array(gunzipSync(chunk)));
        return gzipSync(encodePullResult({ ...page, changes: liar(page.changes) }));
      });
    };
    const phone = await world.notes("phone", { url: proxy.url, environment });
    await statusOf(phone, ({ repairs, lastError }) => repairs === 1 && lastError === undefined);
    assert.equal(proxy.count("checkpoint"), 2);
    assert.equal(phone.status.value.lastRepair?.rowsHere, ROWS - 2);
    assert.deepEqual((await phone.verify())?.drifts, []);
    await converged("notes", [writer, phone]);
    await phone.close();
  });
}

Deno.test("G6: a proxy that breaks every stream leads to pulls, and what is written meanwhile arrives", async () => {
  await using world = await World.open();
  const writer = await fill(world);
  await using proxy = new Proxy(() => world.server.url);
  proxy.body = ({ kind }, body) => kind === "checkpoint" ? cutAfter(body, 2_000, true) : body;
  const phone = await world.notes("phone", {
    url: proxy.url,
    environment: { setTimer: fastTimers(10) },
  });
  await phone.exec("INSERT INTO notes VALUES ('mine', 'mine', NULL)");
  await synced(phone);
  await statusOf(phone, done);
  assert.equal(proxy.count("checkpoint"), 3);
  await until("it is elsewhere", async () => await count(writer) === ROWS + 1);
  await converged("notes", [writer, phone]);
});

Deno.test("G7: rows of two buckets that both come in chunks are here once, and leave with the last of them", async () => {
  await using world = await World.open(null);
  await world.putSchema(NOTES);
  const rules: RulesSpec = {
    buckets: [
      { name: "titles", tables: [{ table: "notes", columns: ["id", "title"] }] },
      { name: "open", tables: ["notes"], filters: [{ column: "status", op: "eq", value: "open" }] },
    ],
    write: [{ tables: ["notes"], ops: ["INSERT", "UPDATE", "DELETE"] }],
  };
  await world.putRules(rules);
  const writer = await fill(world);
  await using proxy = new Proxy(() => world.server.url);
  const phone = await world.notes("phone", { url: proxy.url });
  await statusOf(phone, done);
  assert.equal(proxy.count("checkpoint"), 1);
  assert.equal(await count(phone, "SELECT count(*) AS n FROM notes WHERE status = 'open'"), ROWS);
  assert.deepEqual(await phone.verify(), { buckets: 2, rows: ROWS, drifts: [] });
  await writer.exec("UPDATE notes SET status = 'closed' WHERE id IN ('n0', 'n1')");
  await synced(writer);
  await until("two rows have lost their status", async () => {
    return await count(phone, "SELECT count(*) AS n FROM notes WHERE status IS NULL") === 2;
  });
  assert.equal(await count(phone), ROWS);
  assert.deepEqual((await phone.verify())?.drifts, []);
});
