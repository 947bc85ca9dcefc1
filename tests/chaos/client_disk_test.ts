/** Clients whose disk is full or read-only: a small tmpfs in a mount namespace. */

import assert from "node:assert/strict";
import { World } from "../e2e/world.ts";
import { run } from "../gate/process.ts";
import { SCHEMA } from "./client_workload.ts";

const DISK = "size=2m";
const PROGRAM = decodeURIComponent(new URL("client_disk_program.ts", import.meta.url).pathname);
const WITHIN_MS = 60_000;

/** Runs a command where a folder is a small disk, which goes with the command. */
function onSmallDisk(folder: string, command: readonly string[]): string[] {
  const script = `mount -t tmpfs -o ${DISK} tmpfs "$0" && exec "$@"`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, folder, ...command];
}

/** Why there is no small disk here; undefined where there is one. */
async function hindrance(): Promise<string | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-disk-" });
  try {
    const { success, output } = await run(onSmallDisk(folder, ["true"]));
    return success ? undefined : output.trim();
  } catch (error) {
    return String(error);
  } finally {
    await Deno.remove(folder);
  }
}

const hinders = await hindrance();
if (hinders !== undefined) console.log(`skipped: no disk of its own for a client: ${hinders}`);

Deno.test({
  name: "G1 G5 G6: a client whose disk is full or read-only says so, halves nothing, and goes on",
  ignore: hinders !== undefined,
  fn: async () => {
    await using world = await World.open(SCHEMA);
    const folder = await Deno.makeTempDir({ prefix: "lakesync-disk-" });
    try {
      const { url } = world.server;
      const program = ["run", "-A", "--no-check", PROGRAM, folder, url, await world.token("alice")];
      const { success, output } = await run(onSmallDisk(folder, [Deno.execPath(), ...program]), {
        timeoutMs: WITHIN_MS,
      });
      assert.ok(success, output);
      const written = Number(/^wrote (\d+)$/m.exec(output)?.[1]);
      assert.equal((await world.stats()).seq, String(written + 45), "transactions on the gateway");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
