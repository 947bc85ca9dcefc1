/**
 * A new device starts from the lake: a server, its lake in a folder, and clients.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Client, createClient } from "@lakesync/client";
import {
  memoryStores,
  type RunningServer,
  type ServerStores,
  signToken,
  startServer,
  type Store,
} from "@lakesync/server";
import { synced, until } from "../e2e/wait.ts";

const SECRET = "a secret of at least thirty-two characters";
const ROWS = 3_000;

const SCHEMA = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        list_id: "string",
        title: "string",
        at: "timestamp",
        price: "decimal(10,2)",
        meta: "json",
        size: "integer",
        votes: { type: "integer", merge: "counter" },
      },
    },
  },
} as const;

type Notes = Client<typeof SCHEMA>;

/** Stores in memory, and how many rows that of the gateway has read. */
function counted(): { readonly stores: ServerStores; readonly rowsRead: () => number } {
  const inner = memoryStores();
  let opened: Store | undefined;
  return {
    stores: {
      kind: inner.kind,
      records: inner.records,
      list: () => inner.list(),
      open: async (id, create) => {
        const store = await inner.open(id, create);
        if (id === "default") opened = store;
        return store;
      },
      close: () => inner.close(),
    },
    rowsRead: () => opened?.counters.rowsRead ?? 0,
  };
}

// deno-lint-ignore no-explicit-any -- answers of several shapes
async function admin(server: RunningServer, method: string, path: string): Promise<any> {
  const token = await signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${server.url}/v1/${path}`, { method, headers });
  const text = await response.text();
  assert.ok(response.ok, text);
  return JSON.parse(text);
}

/** Flushes, and waits until the rows in the lake have everything. */
async function merged(server: RunningServer): Promise<void> {
  await admin(server, "POST", "admin/flush/default");
  const { seq } = await admin(server, "GET", "admin/stats/default");
  await until("the rows are in the lake", async () => {
    const path = "iceberg/v1/lake/namespaces/default/tables/notes";
    const { metadata } = await admin(server, "GET", path);
    const position = metadata.properties["lakesync.position"];
    return position !== undefined && JSON.parse(position).seq === Number(seq);
  });
}

async function all(client: Notes): Promise<readonly unknown[][]> {
  const rows = await client.query("SELECT * FROM notes ORDER BY id");
  return rows.map((row) => Object.values(row));
}

Deno.test("G9: a new device starts from the lake, and the gateway reads what came since alone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-lake-" });
  const { stores, rowsRead } = counted();
  const server = await startServer({
    stores,
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess: true,
    checkpointMinRows: 1_000,
    gateways: { default: { schema: SCHEMA } },
    destinations: {
      lake: {
        type: "lake",
        store: { type: "fs", folder },
        mergeEveryMs: 20,
        checkpoints: true,
      },
    },
  });
  const clients: Notes[] = [];
  const open = async (sub: string) => {
    const client = await createClient({
      schema: SCHEMA,
      url: server.url,
      gateway: "default",
      database: `${folder}/${sub}.db`,
      getToken: () => signToken({ secret: SECRET, sub, gw: "default" }),
    });
    clients.push(client);
    return client;
  };
  try {
    const writer = await open("writer");
    await writer.transaction(async (tx) => {
      for (let i = 0; i < ROWS; i++) {
        await tx.exec("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [
          ...[`n${i}`, `l${i % 7}`, i % 5 === 0 ? null : `Note ${i} 😀`],
          ...[new Date(1.7e12 + i * 10).toISOString(), (i / 3).toFixed(2)],
          ...[JSON.stringify({ z: i, a: [null, "é"] }), i * 1e12, i],
        ]);
      }
    });
    await synced(writer);
    await merged(server);
    await writer.exec("UPDATE notes SET title = 'since' WHERE id IN ('n1', 'n2', 'n3')");
    await writer.exec("DELETE FROM notes WHERE id IN ('n4', 'n5')");
    await synced(writer);
    const before = rowsRead();
    for (const sub of ["ann", "bob"]) {
      const client = await open(sub);
      await until("the first checkpoint", () => client.status.value.lastCheckpoint !== undefined);
      assert.deepEqual((await client.verify())?.drifts, []);
      assert.deepEqual(await all(client), await all(writer));
    }
    const read = rowsRead() - before;
    assert.ok(read < ROWS / 10, `${read} rows`);
    // What comes then comes as ever.
    await writer.exec("UPDATE notes SET votes = votes + 1, title = 'last' WHERE id = 'n7'");
    for (const client of clients) {
      await until("it arrives", async () => {
        const [row] = await client.query("SELECT title, votes FROM notes WHERE id = 'n7'");
        return row?.["title"] === "last" && row["votes"] === 8;
      });
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
});
