/**
 * Where devices keep their files: in memory where the machine has such a folder, since what a power
 * loss does to SQLite is not played here.
 *
 * @module
 */

const IN_MEMORY = "/dev/shm";

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Makes a folder that is like no other; whoever made it removes it. */
export function makeFolder(): string {
  const prefix = "lakesync-sim-";
  return Deno.makeTempDirSync(isFolder(IN_MEMORY) ? { dir: IN_MEMORY, prefix } : { prefix });
}
