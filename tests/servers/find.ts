/**
 * Looks for the programs of a database server on this machine, and for the user they run as.
 *
 * @module
 */

/** A server's programs are here. */
export interface Found {
  /** What the server says its version is, such as `postgres (PostgreSQL) 15.18`. */
  readonly version: string;
  /** The folder of its programs. */
  readonly from: string;
}

/** A server's programs are not here. */
export interface Missing {
  /** Why its tests are skipped, and what would help. */
  readonly missing: string;
}

/** The user and group a server runs as. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Whether a file is not there, or is nothing that this user may look at. */
function isNotForUs(error: unknown): boolean {
  const { NotADirectory, NotFound, PermissionDenied } = Deno.errors;
  return [NotADirectory, NotFound, PermissionDenied].some((kind) => error instanceof kind);
}

/** The folders of `PATH`, in order. */
export function pathFolders(): string[] {
  return (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder.startsWith("/"));
}

/** The folders in a folder whose names begin with a text, as paths, the highest version first. */
export async function foldersIn(folder: string, prefix = ""): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (name.startsWith(prefix)) names.push(name);
    }
  } catch (error) {
    if (!isNotForUs(error)) throw error;
  }
  const byVersion = new Intl.Collator("en", { numeric: true });
  return names.sort((a, b) => byVersion.compare(b, a)).map((name) => `${folder}/${name}`);
}

/** Where the first of these files is that exists: its true path. */
export async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      return await Deno.realPath(path);
    } catch (error) {
      if (!isNotForUs(error)) throw error;
    }
  }
}

/** What a program prints with `--version`, one line. */
export async function versionOf(program: string): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args: ["--version"], stderr: "null" })
    .output();
  return new TextDecoder().decode(stdout).trim();
}

/**
 * The user a server runs as: servers refuse to run as root.
 *
 * @param names users of this machine, the first that exists is taken
 * @returns undefined when this process is not root, so that servers run as its own user
 * @throws {Error} when none exists
 */
export async function serverUser(names: readonly string[]): Promise<User | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const lines = (await Deno.readTextFile("/etc/passwd")).split("\n").map((line) => line.split(":"));
  for (const wanted of names) {
    const [, , uid, gid] = lines.find(([name]) => name === wanted) ?? [];
    if (uid && gid) return { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 };
  }
  throw new Error(`Servers do not run as root, and there is no user ${names.join(" or ")}`);
}
