/**
 * What a balancer is told of a gateway process whose disk is full, or cannot be written to.
 */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import { openOnDisk } from "./support_disk.ts";
import type { Site } from "./support_site.ts";
import { Tmpfs } from "./support_tmpfs.ts";

const MIB = 1 << 20;

const ignore = await Tmpfs.isMissing();

interface Ready {
  readonly status: number;
  readonly reason?: string;
  readonly checks: Readonly<Record<string, string>>;
}

async function ready({ server }: Site): Promise<Ready> {
  const response = await fetch(`${server.url}/ready`);
  const { reason, checks } = await response.json();
  return { status: response.status, reason, checks };
}

for (const store of ["sqlite", "kv"] as const) {
  Deno.test({
    name: `G11: a full disk makes the server not ready until there is space (${store})`,
    ignore,
    fn: async () => {
      await using opened = await openOnDisk(store, 16 * MIB);
      const { site, disk } = opened;
      assert.equal((await ready(site)).status, 200);
      await disk.fill();
      await until("it is not ready", async () => (await ready(site)).status === 503);
      const { reason, checks } = await ready(site);
      assert.ok(reason === "store" || reason === "records", reason);
      assert.equal(checks[reason], "failed");
      const live = await fetch(`${site.server.url}/livez`);
      assert.deepEqual([live.status, await live.json()], [200, { status: "ok" }]);
      await disk.free();
      await until("it is ready again", async () => (await ready(site)).status === 200);
    },
  });
}
