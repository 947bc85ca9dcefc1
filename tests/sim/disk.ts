/**
 * A disk as a model: files as bytes, of which an fsync makes durable what was written before. What
 * was not fsynced survives the death of a process whole, and a power loss by chance: all of it, a
 * part that ends at any byte, or nothing.
 *
 * Files grow at their end and are cut there; nothing is written over. An fsync of a file also makes
 * its name durable, and the removals that came before it.
 *
 * @module
 */

import type { Random } from "../oracle/random.ts";
import { SimFile } from "./disk_file.ts";

/** The disk has no room; what still fitted has been written. */
export class DiskFull extends Error {
  /** What the operating system calls it. */
  readonly code = "ENOSPC";
  override readonly name = "DiskFull";

  constructor() {
    super("No space is left on the disk, free some and retry");
  }
}

/** A copy of a disk: file names with what they hold. */
export type DiskSnapshot = ReadonlyMap<string, Uint8Array>;

/** A disk. */
export class SimDisk {
  /** How many bytes all files together may have; more can be allowed at any time, or less. */
  limitBytes: number = Infinity;
  /** Whether an fsync does nothing and says that it did. */
  lying = false;
  #files = new Map<string, SimFile>();
  /** Files whose removal is not durable. */
  #removed = new Map<string, SimFile>();
  #mounts = new Set<Mount>();

  /** How many bytes its files have. */
  get usedBytes(): number {
    return this.#files.values().reduce((sum, { length }) => sum + length, 0);
  }

  /** Gives a process its access, which ends with the process. */
  mount(): Mount {
    const mount = new Mount({
      disk: this,
      files: () => this.#files,
      removed: () => this.#removed,
    }, () => this.#mounts.delete(mount));
    this.#mounts.add(mount);
    return mount;
  }

  /** All processes die; the page cache stays. */
  kill(): void {
    for (const mount of [...this.#mounts]) mount.kill();
  }

  /**
   * The power is lost: all processes die, and what was not fsynced survives by chance.
   *
   * @param random decides what survives
   */
  crash(random: Random): void {
    this.kill();
    const left = new Map<string, SimFile>();
    for (const [path, file] of this.#files) {
      const survivor = file.crash(random);
      if (survivor) left.set(path, survivor);
    }
    for (const [path, file] of this.#removed) {
      const survivor = left.has(path) ? undefined : file.crash(random);
      if (survivor && random.chance(0.5)) left.set(path, survivor);
    }
    this.#files = left;
    this.#removed = new Map();
  }

  /** Copies what was fsynced, as a backup does; processes may go on meanwhile. */
  snapshot(): DiskSnapshot {
    return new Map([...this.#files].map(([path, file]) => [path, file.synced()]));
  }

  /**
   * Puts a copy in the place of files; processes that run die.
   *
   * @param snapshot the copy
   * @param isReplaced which files go; all unless given
   */
  restore(snapshot: DiskSnapshot, isReplaced: (path: string) => boolean = () => true): void {
    this.kill();
    const others = (files: ReadonlyMap<string, SimFile>) =>
      [...files].filter(([path]) => !isReplaced(path));
    const put = [...snapshot].map(([path, bytes]) => [path, new SimFile(bytes)] as const);
    this.#files = new Map([...others(this.#files), ...put]);
    this.#removed = new Map(others(this.#removed));
  }
}

/** What a process's access reaches. */
interface Reach {
  readonly disk: SimDisk;
  files(): Map<string, SimFile>;
  removed(): Map<string, SimFile>;
}

/** The access of one process to a disk. Once the process is dead, every use throws. */
export class Mount {
  readonly #reach: Reach;
  readonly #died: () => void;
  #alive = true;

  /**
   * @param reach what it can touch
   * @param died called when the process has died
   */
  constructor(reach: Reach, died: () => void) {
    this.#reach = reach;
    this.#died = died;
  }

  /** Whether the process is alive. */
  get alive(): boolean {
    return this.#alive;
  }

  /** This process dies; the page cache stays, and so do other processes. */
  kill(): void {
    this.#alive = false;
    this.#died();
  }

  /** The names of all files, ascending. */
  list(): readonly string[] {
    return [...this.#files().keys()].sort();
  }

  /** Reads a file whole; undefined when it is not there. */
  read(path: string): Uint8Array | undefined {
    return this.#files().get(path)?.read();
  }

  /**
   * Writes at the end of a file, which is made when it is not there.
   *
   * @throws {DiskFull} when not all of it has room; what has is written
   */
  append(path: string, bytes: Uint8Array): void {
    const files = this.#files();
    const { disk } = this.#reach;
    const room = disk.limitBytes === Infinity ? Infinity : disk.limitBytes - disk.usedBytes;
    const file = files.get(path) ?? new SimFile();
    files.set(path, file);
    file.append(bytes.length > room ? bytes.slice(0, Math.max(0, room)) : bytes);
    if (bytes.length > room) throw new DiskFull();
  }

  /** Cuts a file to a length in bytes. */
  truncate(path: string, length: number): void {
    this.#files().get(path)?.truncate(length);
  }

  /** Makes a file durable as it is now. */
  fsync(path: string): void {
    this.#files().get(path)?.fsync(this.#reach.disk.lying);
    if (!this.#reach.disk.lying) this.#reach.removed().clear();
  }

  /** Removes a file, if it is there. */
  remove(path: string): void {
    const files = this.#files();
    const file = files.get(path);
    if (file) this.#reach.removed().set(path, file);
    files.delete(path);
  }

  #files(): Map<string, SimFile> {
    if (!this.#alive) throw new Error("A dead process has used its disk");
    return this.#reach.files();
  }
}
