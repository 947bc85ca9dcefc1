import assert from "node:assert/strict";
import { startServer } from "./server.ts";
import { memoryStores } from "./store/memory.ts";
import type { ServerStores } from "./store/store.ts";
import { SECRET } from "./testing_server.ts";

function closable(): { stores: ServerStores; closed: () => boolean } {
  const inner = memoryStores();
  let closed = false;
  const stores: ServerStores = {
    kind: inner.kind,
    records: inner.records,
    list: () => inner.list(),
    open: (gatewayId, create) => inner.open(gatewayId, create),
    close: () => {
      closed = true;
      return inner.close();
    },
  };
  return { stores, closed: () => closed };
}

const TRUST = { secrets: [SECRET] };

Deno.test("startServer closes the stores with the server, once", async () => {
  const { stores, closed } = closable();
  const server = await startServer({ stores, trust: TRUST, port: 0 });
  assert.equal(server.url, `http://127.0.0.1:${server.port}`);
  assert.equal(server.hasSchema, false);
  await Promise.all([server.close(), server.close()]);
  assert.ok(closed());
});

Deno.test("startServer closes the stores when it cannot start", async () => {
  const first = await startServer({ stores: memoryStores(), trust: TRUST, port: 0 });
  const busy = closable();
  const port = first.port;
  await assert.rejects(
    startServer({ stores: busy.stores, trust: TRUST, port }),
    Deno.errors.AddrInUse,
  );
  assert.ok(busy.closed());
  await first.close();
  const untrusting = closable();
  await assert.rejects(
    startServer({ stores: untrusting.stores, trust: {}, port: 0 }),
    { code: "VALIDATION_ERROR" },
  );
  assert.ok(untrusting.closed());
});
