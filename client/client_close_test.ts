import assert from "node:assert/strict";
import { createClient } from "./client.ts";

Deno.test("G6: close does not wait for a transaction that the app left open", async () => {
  const client = await createClient({
    url: "http://127.0.0.1:9",
    gateway: "default",
    database: ":memory:",
    schema: { version: 1, tables: { t: { primaryKey: ["id"], columns: { id: "string" } } } },
    getToken: () => "never asked for",
    environment: {
      fetch: () => Promise.reject(new TypeError("No network")),
      openSocket: undefined,
    },
  });
  await client.exec("BEGIN");
  await client.exec("INSERT INTO t VALUES ('a')");
  await client.close();
  await assert.rejects(client.query("SELECT * FROM t"), /closed/);
});
