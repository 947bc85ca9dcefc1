import assert from "node:assert/strict";
import { WatchedServer } from "./testing_process.ts";

const SECRET = "a secret of at least thirty-two characters";

const SCHEMA = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
};

Deno.test("requests under way are counted exactly when callers go, and are no failures", async () => {
  await using server = await WatchedServer.start({ secret: SECRET });
  const token = await server.token("root", "admin");
  await server.send("/v1/admin/schema/default", { token, method: "PUT", body: SCHEMA });
  const { text } = await server.send("/v1/sync/default/pull?clientId=a", { token });
  const { cursor } = JSON.parse(text);
  const gone = new AbortController();
  const path = `/v1/sync/default/pull?clientId=a&wait=20&cursor=${cursor}`;
  const pulls = Array.from({ length: 20 }, () =>
    fetch(`${server.url}${path}`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: gone.signal,
    }));
  const ended = Promise.allSettled(pulls);
  const active = async () => (await server.metrics()).get("lakesync_active_requests") ?? 0;
  while (await active() < 21);
  gone.abort();
  assert.ok((await ended).every(({ status }) => status === "rejected"));
  while (await active() > 1);
  const metrics = await server.metrics();
  const failed = [...metrics].filter(([name, value]) =>
    /status="(failed|5..)"|^lakesync_errors_total/.test(name) && value > 0
  );
  assert.deepEqual(failed, []);
  const aborted = metrics.get('lakesync_pull_total{status="aborted"}') ?? 0;
  const ok = metrics.get('lakesync_pull_total{status="ok"}') ?? 0;
  assert.equal(aborted + ok, 21);
  assert.doesNotMatch(server.output, /WRN|ERR/);
});
