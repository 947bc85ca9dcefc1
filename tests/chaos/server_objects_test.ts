/**
 * The disk on which a gateway keeps the chunks of checkpoints is full: first pulls go another way.
 */

import assert from "node:assert/strict";
import { synced, until } from "../e2e/wait.ts";
import { openOnDisk } from "./support_disk.ts";
import type { Site } from "./support_site.ts";
import { Tmpfs } from "./support_tmpfs.ts";

/** More than the rows that make chunks of a bucket. */
const ROWS = 12_000;

/** Opens a client that has nothing yet; gives which paths it asked for when it has all rows. */
async function bootstrap(site: Site, name: string): Promise<string[]> {
  const asked: string[] = [];
  const client = await site.client(name, {
    fetch: async (input, init) => {
      asked.push(new URL(String(input)).pathname.replace(/.*\//, ""));
      return await fetch(input, init);
    },
  });
  await until("all rows", async () => {
    const [row] = await client.query("SELECT count(*) AS n FROM notes");
    return row?.["n"] === ROWS;
  });
  assert.deepEqual((await client.verify())?.drifts, []);
  return asked;
}

Deno.test({
  name:
    "G6: a full disk for checkpoints keeps nobody from a first pull, and nothing is left behind",
  ignore: await Tmpfs.isMissing(),
  fn: async () => {
    await using opened = await openOnDisk("sqlite", 1 << 20, "/objects");
    const { site, disk } = opened;
    const author = await site.client("author");
    await author.exec(
      `WITH RECURSIVE k(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM k WHERE n < ${ROWS})
       INSERT INTO notes SELECT 'note' || n, 'author', n, hex(randomblob(10)) FROM k`,
    );
    await synced(author);
    await disk.fill();
    assert.deepEqual(await bootstrap(site, "while it is full"), Array(3).fill("checkpoint"));
    assert.deepEqual(await disk.files(), ["ballast"]);
    await disk.free();
    assert.deepEqual(await bootstrap(site, "with space again"), ["checkpoint"]);
    assert.notDeepEqual(await disk.files(), []);
  },
});
