// Two clients under this runtime and a real gateway: what one commits, the other one shows.
import assert from "node:assert/strict";
import process from "node:process";
import { createClient } from "@lakesync/client";

const url = process.env.LAKESYNC_URL;
const token = process.env.TOKEN;
const schema = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", votes: "integer", photo: "bytes" },
    },
  },
};

const answer = await fetch(`${url}/v1/admin/schema/default`, {
  method: "PUT",
  headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  body: JSON.stringify(schema),
});
assert.equal(answer.status, 200, await answer.text());

function open(name) {
  const getToken = () => Promise.resolve(token);
  return createClient({ url, gateway: "default", database: `${name}.db`, schema, getToken });
}

async function untilRows(client, count) {
  const { promise, resolve } = Promise.withResolvers();
  const live = await client.live("SELECT id FROM todos", [], (rows) => {
    if (rows.length === count) resolve();
  });
  await promise;
  live.close();
}

const [one, two] = [await open("one"), await open("two")];
const milk = {
  id: "t1",
  title: "Milk 🥛",
  done: false,
  votes: 9007199254740993n,
  photo: new Uint8Array([0, 255]),
};
await one.tables.todos.insert(milk);
await one.exec("INSERT INTO todos (id, title, done) VALUES ('t2', 'Bread', 1)");
await untilRows(two, 2);
assert.deepEqual(await two.tables.todos.get("t1"), milk);
assert.equal((await two.tables.todos.get("t2")).done, true);

await two.exec("DELETE FROM todos WHERE id = 't2'");
await untilRows(one, 1);
await one.close();
await two.close();

const again = await open("one");
assert.deepEqual(await again.tables.todos.all(), [milk]);
await again.close();
