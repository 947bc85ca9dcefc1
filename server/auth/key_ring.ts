/**
 * All keys that tokens are checked by: those that were given, those of `<data>/keys.json`, which is
 * read again when it changes, and those behind a JWKS URL, which is asked for names that no other
 * key has. What `lakesync keys` ended or withdrew is not trusted wherever it comes from.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { RemoteKeys } from "./jwks.ts";
import { SECRET_NAME, type TrustedKey } from "./key.ts";
import { type KeyFile, NO_KEYS, readKeyFile, trustedKeysOf } from "./key_file.ts";

const logger = getLogger(["lakesync", "auth"]);

/** How often the key file is looked at, in milliseconds. */
const LOOK_EVERY_MS = 500;

/** Where keys come from. */
export interface KeyRingOptions {
  /** Keys that hold as long as the server runs, unless they are withdrawn. */
  readonly keys: readonly TrustedKey[];
  /** The path of the file of `lakesync keys`. */
  readonly keyFile?: string | undefined;
  /** The address of a JSON Web Key Set. */
  readonly jwksUrl?: string | undefined;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
}

/** What became of keys, by name; a secret without a name is called `secret`. */
export interface KeyChange {
  /** Where it was seen: in the key file, behind the JWKS URL, or since a time is over. */
  readonly source: "file" | "jwks" | "time";
  /** Keys that are trusted from now on. */
  readonly added: readonly string[];
  /** Keys that are trusted no longer. */
  readonly removed: readonly string[];
  /** Keys that will not be trusted for ever any more, and when they end. */
  readonly ending: readonly string[];
}

/** The keys. */
export class KeyRing {
  readonly #options: KeyRingOptions;
  readonly #remote: RemoteKeys | undefined;
  readonly #listeners = new Set<(change: KeyChange) => void>();
  /** Those of the local keys that were trusted at the last look. */
  #trusted: readonly TrustedKey[] = [];
  #file: KeyFile = NO_KEYS;
  #stamp = "";
  #local: readonly TrustedKey[];
  #looking: Promise<void> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #complaint = "";

  constructor(options: KeyRingOptions) {
    this.#options = options;
    const { keys, jwksUrl: url, now } = options;
    this.#local = keys;
    this.#remote = url === undefined ? undefined : new RemoteKeys({
      url,
      now,
      removed: (removed) => this.#tell({ ...NOTHING, source: "jwks", removed }),
    });
  }

  /** Keeps an eye on the sources until it is closed. */
  watch(): void {
    if (this.#options.keyFile === undefined && this.#remote === undefined) return;
    this.#timer ??= setInterval(() => {
      this.#remote?.refreshWhenOld();
      void this.#look();
    }, LOOK_EVERY_MS);
  }

  /** Ends watching and fetching. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#remote?.close();
    await this.#looking;
  }

  /**
   * Listens for other keys.
   *
   * @returns ends the listening
   */
  onChange(listener: (change: KeyChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Finds the keys that a token may be signed by.
   *
   * @param kid the name that it gives, if any
   * @throws {LakeSyncError} `ADAPTER_ERROR` when keys cannot be fetched
   */
  async find(kid: string | undefined): Promise<readonly TrustedKey[]> {
    if (this.#stamp === "") await this.#look();
    const known = this.#named(kid);
    if (known.length > 0) return this.#alive(known);
    // A key may have been made this very moment.
    if (kid !== undefined && await this.#look()) {
      const made = this.#named(kid);
      if (made.length > 0) return this.#alive(made);
    }
    return this.#alive(await this.#remote?.find(kid) ?? []);
  }

  /**
   * Tells whether a key is still trusted. Where a JWKS URL cannot be asked for long, its keys check no
   * more tokens; those that were checked by them stay good, since nobody has withdrawn anything.
   *
   * @param id the key's id
   */
  has(id: string): boolean {
    const all = [...this.#local, ...this.#remote?.last ?? []];
    return this.#alive(all.filter((key) => key.id === id)).length > 0;
  }

  #named(kid: string | undefined): readonly TrustedKey[] {
    return this.#local.filter((key) => key.kid === kid);
  }

  #alive(keys: readonly TrustedKey[]): readonly TrustedKey[] {
    const now = this.#options.now();
    const { withdrawn } = this.#file;
    return keys.filter(({ kid, endsMs = Infinity }) =>
      now < endsMs && (kid === undefined || !withdrawn.some((gone) => gone.kid === kid))
    );
  }

  /** Reads the file when it is another one; gives whether there is a file to read. */
  async #look(): Promise<boolean> {
    const { keyFile } = this.#options;
    if (keyFile === undefined) return false;
    await (this.#looking ??= this.#read(keyFile).finally(() => this.#looking = undefined));
    return true;
  }

  async #read(path: string): Promise<void> {
    try {
      const stamp = await stampOf(path);
      if (stamp === this.#stamp) return this.#checkEnds();
      const isFirst = this.#stamp === "";
      const before = this.#trusted;
      this.#file = await readKeyFile(path);
      this.#stamp = stamp;
      this.#complaint = "";
      this.#local = this.#merged();
      this.#trusted = this.#alive(this.#local);
      if (isFirst) return;
      logger.info("The keys of {path} changed and were read again", { path });
      this.#tell(changeOf(before, this.#trusted));
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      if (what === this.#complaint) return;
      this.#complaint = what;
      logger.error("{what}; the keys that were read before go on", { what });
    }
  }

  #merged(): readonly TrustedKey[] {
    const ends = new Map(
      this.#file.endings.map(({ fingerprint, endsMs }) => [fingerprint, endsMs]),
    );
    const given = this.#options.keys.map((key): TrustedKey => {
      const endsMs = key.kid === undefined ? ends.get(key.id) : undefined;
      return endsMs === undefined ? key : { ...key, endsMs };
    });
    const names = new Set(given.map(({ kid }) => kid));
    return [...given, ...trustedKeysOf(this.#file).filter(({ kid }) => !names.has(kid))];
  }

  /** Tells when a key has come to its end. */
  #checkEnds(): void {
    const alive = new Set(this.#alive(this.#local));
    const ended = this.#trusted.filter((key) => !alive.has(key));
    this.#trusted = [...alive];
    if (ended.length > 0) {
      this.#tell({ ...NOTHING, source: "time", removed: ended.map(nameOf) });
    }
  }

  #tell(change: KeyChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const NOTHING: Pick<KeyChange, "added" | "removed" | "ending"> = {
  added: [],
  removed: [],
  ending: [],
};

function nameOf({ kid }: Pick<TrustedKey, "kid">): string {
  return kid ?? SECRET_NAME;
}

function changeOf(before: readonly TrustedKey[], after: readonly TrustedKey[]): KeyChange {
  const was = new Map(before.map((key) => [key.id, key]));
  const is = new Set(after.map(({ id }) => id));
  return {
    source: "file",
    added: after.filter(({ id }) => !was.has(id)).map(nameOf),
    removed: before.filter(({ id }) => !is.has(id)).map(nameOf),
    ending: after.filter(({ id, endsMs }) => was.get(id)?.endsMs !== endsMs && was.has(id))
      .map(nameOf),
  };
}

/** Another text for another file: it is always replaced whole. */
async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtime } = await Deno.stat(path);
    return `${ino} ${size} ${mtime?.getTime()}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "none";
    throw error;
  }
}
