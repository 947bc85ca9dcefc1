/**
 * The gateway process has few file descriptors, and somebody opens connections until none is left.
 */

import assert from "node:assert/strict";
import { checkHistory, converge } from "./support_checks.ts";
import { Ledger } from "./support_ledger.ts";
import { Site } from "./support_site.ts";
import { openWriters, stopAll } from "./support_writer.ts";

const WRITERS = 3;
const WRITE_EVERY_MS = 40;

/** The process needs some 40 of them for itself. */
const DESCRIPTORS = 100;

const LIMITED = ["sh", "-c", `ulimit -n ${DESCRIPTORS} && exec "$@"`, "sh"];

/** Opens connections that say nothing until none is taken any more, and holds them. */
async function exhaust(port: number): Promise<Deno.TcpConn[]> {
  const held: Deno.TcpConn[] = [];
  try {
    while (held.length < 10 * DESCRIPTORS) {
      held.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    }
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return held;
    if (error instanceof Deno.errors.ConnectionReset) return held;
    throw error;
  }
  return held;
}

for (const store of ["sqlite", "kv"] as const) {
  Deno.test(`G1 G6 G11: a server without a free file descriptor serves again by itself (${store})`, async () => {
    await using site = await Site.open({ store, wrapper: LIMITED });
    const ledger = new Ledger();
    const writers = await openWriters(site, WRITERS, { fetch: ledger.fetch });
    for (const writer of writers) writer.start(WRITE_EVERY_MS);
    const { pid } = site.server;
    const port = Number(new URL(site.server.url).port);
    for (let times = 0; times < 2; times++) {
      const held = await exhaust(port);
      try {
        assert.ok(held.length > DESCRIPTORS / 3 && held.length < 10 * DESCRIPTORS);
        assert.ok(await ledger.next(2 * WRITERS, 15_000), "nobody is served any more");
      } finally {
        for (const connection of held) connection.close();
      }
      assert.equal(await (await fetch(`${site.server.url}/livez`)).text(), '{"status":"ok"}');
    }
    assert.equal(site.server.pid, pid);
    await stopAll(writers);
    await converge(writers);
    await checkHistory(site, writers, ledger);
  });
}
