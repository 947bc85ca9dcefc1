// A bucket large enough for chunks, a counter and a write rule under this runtime: a new client begins
// with chunks, two clients count, a refused write is undone, and all agree with the checksums.
import assert from "node:assert/strict";
import process from "node:process";
import { createClient } from "@lakesync/client";

const ROWS = 12_000;
const url = process.env.LAKESYNC_URL;
const token = process.env.TOKEN;
const schema = {
  version: 1,
  tables: {
    items: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        place: "string",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
      },
    },
  },
};
const open = [{ column: "place", op: "eq", value: "here" }];
const rules = {
  buckets: [{ name: "here", tables: ["items"], filters: open }],
  write: [{ tables: ["items"], ops: ["INSERT", "UPDATE"], filters: open }],
};

async function put(path, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/admin/${path}/default`, {
    method: "PUT",
    headers,
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, await answer.text());
}

async function openClient(name) {
  const getToken = () => Promise.resolve(token);
  return await createClient({ url, gateway: "default", database: `${name}.db`, schema, getToken });
}

async function until(client, sql, wanted) {
  const { promise, resolve } = Promise.withResolvers();
  const live = await client.live(sql, [], ([row]) => {
    if (row?.is === wanted) resolve();
  });
  await promise;
  live.close();
}

await put("schema", schema);
await put("sync-rules", rules);
const one = await openClient("one");
await one.transaction(async (tx) => {
  for (let i = 0; i < ROWS; i++) {
    const row = { id: `t${i}`, place: "here", votes: i, tags: ["b", "a"] };
    await tx.tables.items.insert(row);
  }
});
await until(one, "SELECT count(*) AS 'is' FROM items", ROWS);

let chunks = 0;
const { fetch: send } = globalThis;
globalThis.fetch = async (...request) => {
  const answer = await send(...request);
  const { pathname } = new URL(request[0].url ?? request[0]);
  if (pathname.endsWith("/checkpoint") && answer.status === 200) chunks++;
  return answer;
};
while (one.status.value.pending > 0) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const two = await openClient("two");
await until(two, "SELECT count(*) AS 'is' FROM items", ROWS);
assert.ok(chunks > 0, "it began with chunks");

const sum = "SELECT votes AS 'is' FROM items WHERE id = 't7'";
await Promise.all(
  [one, two].map((client) => client.exec("UPDATE items SET votes = votes + 10 WHERE id = 't7'")),
);
await Promise.all([until(one, sum, 27), until(two, sum, 27)]);

await two.exec("INSERT INTO items (id, place, votes) VALUES ('t8x', 'elsewhere', 1)");
await until(two, "SELECT count(*) AS 'is' FROM items WHERE id = 't8x'", 0);
for (const client of [one, two]) {
  const verified = await client.verify();
  assert.deepEqual([verified.rows, verified.drifts], [ROWS, []]);
  await client.close();
}
