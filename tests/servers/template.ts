/**
 * New data folders cost up to seconds to make and little to copy: one is made in memory, kept as an
 * archive for as long as this process lives, and all servers start on what is unpacked from it.
 *
 * @module
 */

import type { User } from "./find.ts";
import { Keeper } from "./keeper.ts";
import { runAs } from "./server.ts";

/** A file system in memory, where making waits for no disk. */
const MEMORY = "/dev/shm";

type Make = (folder: string) => Promise<void>;

/** Makes folders that are all the same. */
export class Template {
  #archive: Promise<Uint8Array<ArrayBuffer>> | undefined;

  /**
   * Puts a folder `data` in a folder.
   *
   * @param folder where
   * @param user whose it is
   * @param make makes the first such folder, in another folder
   */
  async put(folder: string, user: User | undefined, make: Make): Promise<void> {
    // There may be no such file system, or one that is too small.
    this.#archive ??= pack(make, user, MEMORY).catch(() => pack(make, user));
    let archive: Uint8Array<ArrayBuffer>;
    try {
      archive = await this.#archive;
    } catch (error) {
      this.#archive = undefined;
      throw error;
    }
    const child = new Deno.Command("tar", {
      args: ["-xf", "-"],
      cwd: folder,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      ...user,
    }).spawn();
    await new Blob([archive]).stream().pipeTo(child.stdin);
    if (!(await child.status).success) throw new Error("A data folder was not unpacked");
  }
}

async function pack(
  make: Make,
  user: User | undefined,
  dir?: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir({ ...dir && { dir }, prefix: "lakesync-template-" });
  const keeper = new Keeper(folder, "KILL");
  try {
    if (user) await Deno.chown(folder, user.uid, user.gid);
    await make(folder);
    return await runAs(user, folder, ["tar", "-cf", "-", "data"]);
  } finally {
    await keeper.close();
  }
}
