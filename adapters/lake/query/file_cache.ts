/**
 * Files of a lake where DuckDB can open them: those of a folder where they are, all others copied
 * into a folder. Objects never change, so a copy is never stale.
 *
 * @module
 */

import { createHash, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atOnce } from "../../at_once.ts";
import { type LakeFiles, readAt } from "../iceberg/lake_files.ts";
import { QueryError } from "./duck.ts";

/** Where copies are kept. */
export interface CacheOptions {
  /** The folder; a temporary one that is removed in the end unless given. */
  readonly folder?: string;
  /** How much may be in it, in bytes; 4 GiB unless given. */
  readonly maxBytes?: number;
}

/** An object that is needed. */
export interface NeededFile {
  /** Its location. */
  readonly location: string;
  /** Its size in bytes. */
  readonly bytes: number;
}

const MAX_BYTES = 4 * 2 ** 30;

/** So many objects are fetched at once. */
const FETCHES = 8;

/** A copy that was not used for so long is not used by another process any more, in milliseconds. */
const IDLE_MS = 60 * 60_000;

/** Objects with a path each, which are not removed before they are released. */
export interface HeldFiles {
  /** Paths by locations. */
  readonly paths: ReadonlyMap<string, string>;
  /** Lets go of them. */
  release(): void;
}

/** Gives objects a path. */
export class FileCache {
  readonly #lake: LakeFiles;
  readonly #options: CacheOptions;
  readonly #fetching = new Map<string, Promise<string>>();
  /** How many hold a copy, by its name. */
  readonly #held = new Map<string, number>();
  #folder: Promise<string> | undefined;

  /**
   * Makes a cache that holds nothing yet.
   *
   * @param lake where the objects are
   * @param options where copies are kept
   */
  constructor(lake: LakeFiles, options: CacheOptions = {}) {
    this.#lake = lake;
    this.#options = options;
  }

  /** The folder, for copies and for what does not fit into memory. */
  folder(): Promise<string> {
    return this.#folder ??= this.#makeFolder();
  }

  /**
   * Gives objects a path each.
   *
   * @param files the objects
   * @throws {QueryError} when they are more than may be kept
   */
  async hold(files: readonly NeededFile[]): Promise<HeldFiles> {
    const paths = new Map<string, string>();
    const away: NeededFile[] = [];
    for (const file of new Map(files.map((file) => [file.location, file])).values()) {
      const own = ownPath(file.location);
      if (own !== undefined && await isThere(own)) paths.set(file.location, own);
      else away.push(file);
    }
    const names = away.map(({ location }) => nameOf(location));
    const release = () => names.splice(0).forEach((name) => this.#count(name, -1));
    for (const name of names) this.#count(name, 1);
    try {
      if (away.length > 0) await this.#makeRoom(away);
      for (let at = 0; at < away.length; at += FETCHES) {
        await atOnce(
          away.slice(at, at + FETCHES).map(({ location }) => async () => {
            paths.set(location, await this.#fetch(location));
          }),
        );
      }
    } catch (error) {
      release();
      throw error;
    }
    return { paths, release };
  }

  #count(name: string, by: number): void {
    const count = (this.#held.get(name) ?? 0) + by;
    if (count === 0) this.#held.delete(name);
    else this.#held.set(name, count);
  }

  /** Removes copies, unless they are in a folder that was given. */
  async close(): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    this.#folder = undefined;
    if (folder !== undefined && this.#options.folder === undefined) {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #makeFolder(): Promise<string> {
    const { folder } = this.#options;
    if (folder === undefined) return await mkdtemp(join(tmpdir(), "lakesync-query-"));
    await mkdir(folder, { recursive: true });
    return folder;
  }

  #fetch(location: string): Promise<string> {
    let fetching = this.#fetching.get(location);
    if (fetching === undefined) {
      fetching = this.#copy(location).finally(() => this.#fetching.delete(location));
      this.#fetching.set(location, fetching);
    }
    return fetching;
  }

  async #copy(location: string): Promise<string> {
    const path = join(await this.folder(), nameOf(location));
    const now = new Date();
    if (await isThere(path)) {
      await utimes(path, now, now);
      return path;
    }
    const unfinished = `${path}.${randomUUID()}`;
    try {
      await writeFile(unfinished, await readAt(this.#lake, location));
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    return path;
  }

  /** Removes the copies that nobody holds and that were not used for the longest time. */
  async #makeRoom(needed: readonly NeededFile[]): Promise<void> {
    const { maxBytes = MAX_BYTES } = this.#options;
    const sum = (files: readonly { readonly bytes: number }[]) =>
      files.reduce((sum, { bytes }) => sum + bytes, 0);
    const wanted = sum(needed);
    if (wanted > maxBytes) {
      throw new QueryError(
        `The query needs ${wanted} bytes of the lake, more than the ${maxBytes} that may be kept; ask for less, or allow more`,
      );
    }
    const folder = await this.folder();
    const others = [];
    for (const name of await readdir(folder)) {
      if (!name.endsWith(EXTENSION) || this.#held.has(name)) continue;
      const { size, mtimeMs } = await stat(join(folder, name));
      others.push({ name, bytes: size, mtimeMs });
    }
    let excess = sum(others) + wanted - maxBytes;
    for (const { name, bytes, mtimeMs } of others.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
      const isShared = this.#options.folder !== undefined && Date.now() - mtimeMs < IDLE_MS;
      if (excess <= 0) return;
      if (isShared) continue;
      await rm(join(folder, name), { force: true });
      excess -= bytes;
    }
  }
}

const EXTENSION = ".parquet";

function nameOf(location: string): string {
  return createHash("sha256").update(location).digest("hex") + EXTENSION;
}

function ownPath(location: string): string | undefined {
  return location.startsWith("file:///") ? location.slice("file://".length) : undefined;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
