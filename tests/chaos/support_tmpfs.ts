/**
 * A small file system in memory, for disks that get full. It is mounted in a namespace of its own,
 * which a process holds open, and is gone with that process.
 *
 * @module
 */

/** How a namespace with mounts of its own is made: without any rights, or with those of root. */
const NAMESPACES: readonly (readonly string[])[] = [["-Urm"], ["-m"]];

const BLOCK = new Uint8Array(64 * 1024);

/** A small file system that processes started with {@linkcode Tmpfs.wrapper} see. */
export class Tmpfs implements AsyncDisposable {
  /** What is put before a command so that it sees the file system. */
  readonly wrapper: readonly string[];
  readonly #holder: Deno.ChildProcess;
  readonly #folder: string;
  readonly #seen: string;
  readonly #ballast: string;

  private constructor(holder: Deno.ChildProcess, folder: string, flags: readonly string[]) {
    const user = flags.includes("-Urm") ? ["-U", "--preserve-credentials"] : [];
    this.wrapper = ["nsenter", "-t", String(holder.pid), ...user, "-m", "--"];
    this.#holder = holder;
    this.#folder = folder;
    this.#seen = `/proc/${holder.pid}/root${folder}`;
    this.#ballast = `${this.#seen}/ballast`;
  }

  /**
   * Mounts one.
   *
   * @param folder where; an empty folder that exists
   * @param bytes its size
   * @throws {Error} with what the system said, when it does not allow that
   */
  static async mount(folder: string, bytes: number): Promise<Tmpfs> {
    const said: string[] = [];
    for (const flags of NAMESPACES) {
      const script = `mount -t tmpfs -o size=${bytes} tmpfs "$0" && echo mounted && exec cat`;
      const holder = new Deno.Command("unshare", {
        args: [...flags, "sh", "-c", script, folder],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const reader = holder.stdout.getReader();
      const { done } = await reader.read();
      await reader.cancel();
      if (!done) {
        await holder.stderr.cancel();
        return new Tmpfs(holder, folder, flags);
      }
      await holder.stdin.close().catch(() => {});
      const errors = holder.stderr.getReader();
      const { value } = await errors.read();
      said.push(new TextDecoder().decode(value).trim().replaceAll(/\s+/g, " "));
      await errors.cancel();
      await holder.status;
    }
    throw new Error(said.join("; "));
  }

  /**
   * Tries whether one can be mounted here, and prints the reason when not.
   *
   * @returns whether tests that need one are to be skipped
   */
  static async isMissing(): Promise<boolean> {
    const folder = await Deno.makeTempDir({ prefix: "lakesync-tmpfs-" });
    try {
      await (await Tmpfs.mount(folder, 1 << 20))[Symbol.asyncDispose]();
      return false;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`skipped: a full disk needs a mount in a namespace of its own: ${reason}`);
      return true;
    } finally {
      await Deno.remove(folder);
    }
  }

  /** Fills it to the last byte. */
  async fill(): Promise<void> {
    using file = await Deno.open(this.#ballast, { write: true, create: true, append: true });
    for (let size = BLOCK.length; size > 0;) {
      try {
        if (await file.write(BLOCK.subarray(0, size)) === 0) size = 0;
      } catch {
        size >>= 1;
      }
    }
  }

  /** Frees what was filled. */
  async free(): Promise<void> {
    await Deno.remove(this.#ballast);
  }

  /** The files on it, by their paths from its root, in order. */
  async files(): Promise<string[]> {
    const found: string[] = [];
    const folders = [""];
    for (const folder of folders) {
      for await (const { name, isDirectory } of Deno.readDir(`${this.#seen}/${folder}`)) {
        if (isDirectory) folders.push(`${folder}${name}/`);
        else found.push(`${folder}${name}`);
      }
    }
    return found.sort();
  }

  /** Gives it another size, in bytes. */
  async resize(bytes: number): Promise<void> {
    const [command = "", ...args] = this.wrapper;
    args.push("mount", "-o", `remount,size=${bytes}`, this.#folder);
    const { success, stderr } = await new Deno.Command(command, { args }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  /** Takes it away, once nobody uses it any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stdin.close();
    await this.#holder.status;
  }
}
