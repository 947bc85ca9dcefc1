/** More is asked of a gateway process than it has memory for. */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import { LiveSite } from "./support_live.ts";

const MIB = 1024 * 1024;
const MAX_MEMORY = 400 * MIB;
const PULLS = 200;

/** A pull whose answer is never read. */
async function silentPull(site: LiveSite, n: number): Promise<Deno.TcpConn> {
  const { hostname, port, host } = new URL(site.server.url);
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const lines = [
    `GET /v1/sync/default/pull?clientId=silent-${n}&limit=1000 HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: Bearer ${await site.token(`silent-${n % 10}`)}`,
  ];
  await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  return conn;
}

Deno.test({
  name: "G11: a process short of memory turns work away, lives on, and takes it again",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using site = await LiveSite.open([`--max-memory-bytes=${MAX_MEMORY}`]);
    for (let i = 0; i < 4; i++) {
      const rows = Array.from({ length: 250 }, (_, n) => `row-${i}-${n}`);
      assert.equal((await site.push("filler", rows, 8 * 1024)).status, 200);
    }
    let most = 0;
    let refusals = 0;
    const connections: Deno.TcpConn[] = [];
    for (let i = 0; i < PULLS; i++) {
      connections.push(await silentPull(site, i));
      const { status, retryAfter } = await site.push("good", [`good-${i}`], 10);
      if (status === 503) {
        refusals++;
        assert.match(String(retryAfter), /^\d+$/);
      } else assert.equal(status, 200);
      most = Math.max(most, (await site.use()).rssBytes);
    }
    const alive = await fetch(`${site.server.url}/livez`);
    await alive.body?.cancel();
    assert.equal(alive.status, 200);
    assert.equal((await site.admin("stats/default")).status, 200);
    // Those who do not read are still there; they are ended.
    await until("work is taken again", async () => {
      return (await site.push("good", ["after"], 10)).status === 200;
    });
    for (const connection of connections) connection.close();
    console.log(`${most / MIB | 0} MiB at most, ${refusals} of ${PULLS} pushes were turned away`);
    assert.ok(refusals > 0);
    assert.ok(most < MAX_MEMORY + 200 * MIB, `${most}`);
  },
});
