/**
 * The project's own files, as the checks of the gate see them: what git tracks or would track.
 *
 * @module
 */

/** The folder of the workspace. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** The members of the workspace, in the order in which they depend on each other. */
export const MEMBERS: readonly string[] = ["core", "adapters", "client", "server"];

/**
 * Lists files that are tracked, or new and not ignored.
 *
 * @param pathspecs what to list, as git takes it
 * @returns paths from the root of the workspace, sorted
 */
export async function listFiles(...pathspecs: readonly string[]): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...pathspecs],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const paths = new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
  const there = await Promise.all(paths.map(isThere));
  return [...new Set(paths.filter((_, i) => there[i]))].sort();
}

/** A deleted file is still in git's list. */
async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(new URL(path, ROOT))).isFile;
  } catch {
    return false;
  }
}

/**
 * Reads a text.
 *
 * @param path a path from the root of the workspace
 * @returns the text
 */
export function readText(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}
