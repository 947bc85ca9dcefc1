/**
 * New data folders cost a second to make and little to copy: the first is kept in memory as an
 * archive, so that nothing is left behind, and further ones in this process are unpacked from it.
 *
 * @module
 */

import type { User } from "./find.ts";
import { runAs } from "./server.ts";

/** Makes folders that are all the same. */
export class Template {
  #archive: Promise<Uint8Array<ArrayBuffer>> | undefined;

  /**
   * Puts a folder `data` in a folder.
   *
   * @param folder where
   * @param user whose it is
   * @param make makes the first one
   */
  async put(folder: string, user: User | undefined, make: () => Promise<void>): Promise<void> {
    if (this.#archive === undefined) {
      this.#archive = make().then(() => runAs(user, folder, ["tar", "-cf", "-", "data"]));
      this.#archive.catch(() => this.#archive = undefined);
      await this.#archive;
      return;
    }
    const archive = await this.#archive;
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
