/** A busy room: changes many times more often than a connection may send messages. */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import { NOTES, rowsOf, World } from "../e2e/world.ts";

const CHANGES = 2_000;
const WRITERS = 8;

Deno.test("G11: a room that changes hundreds of times a second ends none of our clients", async () => {
  await using world = await World.open(NOTES);
  const clients = await Promise.all(
    Array.from({ length: 4 }, (_, i) => world.notes(`reader-${i}`)),
  );
  const states = clients.map((client) => {
    const seen = new Set<string>();
    const checkpoints = new Set<number>();
    client.status.subscribe(({ state, lastError, lastCheckpoint }) => {
      seen.add(state);
      if (lastError !== undefined) seen.add(lastError.code);
      if (lastCheckpoint !== undefined) checkpoints.add(lastCheckpoint.seq);
    });
    return { seen, checkpoints };
  });
  for (const client of clients) await until("it is live", () => client.status.value.connected);
  for (const { seen } of states) seen.clear();
  const token = await world.token("writer");
  const startMs = performance.now();
  let n = 0;
  const write = async (writer: number) => {
    for (let mutationId = 1; n < CHANGES; mutationId++) {
      const rowId = `n${n++}`;
      const columns = { title: "news", status: null };
      const deltas = [{ op: "INSERT", table: "notes", rowId, columns }];
      const body = {
        clientId: `writer-${writer}`,
        schemaVersion: 1,
        transactions: [{ mutationId, deltas }],
      };
      const response = await fetch(`${world.server.url}/v1/sync/default/push`, {
        method: "POST",
        headers: { "authorization": `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, await response.text());
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, i) => write(i)));
  const seconds = (performance.now() - startMs) / 1000;
  for (const client of clients) {
    await until("everything is there", async () => {
      return (await rowsOf(client, "notes")).length === CHANGES;
    });
  }
  const pages = states.map(({ checkpoints }) => checkpoints.size / seconds);
  console.log(
    `${CHANGES / seconds | 0} changes a second, acknowledged ${Math.min(...pages) | 0} to ` +
      `${Math.max(...pages) | 0} times a second`,
  );
  assert.ok(CHANGES / seconds > 200, `${CHANGES / seconds} changes a second`);
  assert.ok(Math.max(...pages) > 60, "more often than messages may be sent");
  for (const { seen } of states) assert.deepEqual([...seen], ["live"]);
});
