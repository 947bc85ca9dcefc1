import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFileObjects } from "./fs.ts";

Deno.test("openFileObjects removes what nobody finishes, and leaves what another is writing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-objects-"));
  try {
    await openFileObjects(folder);
    const unfinished = join(folder, ".unfinished");
    await writeFile(join(unfinished, "young"), "a");
    await writeFile(join(unfinished, "old"), "a");
    const then = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(unfinished, "old"), then, then);
    await openFileObjects(folder);
    assert.deepEqual(await readdir(unfinished), ["young"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
