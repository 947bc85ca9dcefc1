/**
 * The public keys behind a JWKS URL. They are asked for when they are needed, and then seldom: a
 * good answer is used for a while and for a longer while when the next one fails, all who need one
 * wait for the same request, a name that is not among them is looked for again once in some seconds,
 * and after a failure it waits longer each time. Secrets in such a set are not keys here.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { JWK } from "jose";
import { algorithmOf, jwkKey, type TrustedKey } from "./key.ts";

const logger = getLogger(["lakesync", "auth"]);

/** What bounds the fetching of keys. */
export const JWKS_LIMITS = {
  /** After so long keys are asked for again, in milliseconds. */
  freshMs: 300_000,
  /** So long keys are used while none can be fetched, in milliseconds. */
  staleMs: 3_600_000,
  /** A name that is not known is looked for again at most so often, in milliseconds. */
  unknownEveryMs: 5_000,
  /** The time from the first failure to the next try, in milliseconds; it doubles. */
  backOffMs: 1_000,
  /** The longest time to the next try, in milliseconds. */
  maxBackOffMs: 60_000,
  /** How long an answer may take, in milliseconds. */
  timeoutMs: 5_000,
  /** The largest answer, in bytes. */
  maxBytes: 262_144,
  /** The most keys that are read of one. */
  maxKeys: 100,
} as const;

/** What fetching stands on. */
export interface RemoteKeysOptions {
  /** The address. */
  readonly url: string;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Told of keys that are there no longer, by name. */
  readonly removed: (names: readonly string[]) => void;
}

interface Fetched {
  readonly keys: readonly TrustedKey[];
  readonly atMs: number;
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > JWKS_LIMITS.maxBytes) throw new Error("The answer is too large");
    chunks.push(chunk);
  }
  return await new Blob(chunks as BlobPart[]).text();
}

async function importAll(jwks: unknown): Promise<readonly TrustedKey[]> {
  const listed = typeof jwks === "object" && jwks !== null && "keys" in jwks
    ? jwks.keys
    : undefined;
  if (!Array.isArray(listed)) throw new Error("The answer is no JSON Web Key Set");
  const keys: TrustedKey[] = [];
  for (const jwk of listed.slice(0, JWKS_LIMITS.maxKeys)) {
    if (typeof jwk !== "object" || jwk === null) continue;
    const { kid } = jwk as JWK;
    const alg = algorithmOf(jwk as JWK);
    if (alg === undefined || (kid !== undefined && typeof kid !== "string")) continue;
    try {
      keys.push(await jwkKey(jwk as JWK, alg, kid));
    } catch (error) {
      logger.warning("A key of the JWKS URL cannot be read: {error}", { error });
    }
  }
  return keys;
}

/** The keys of one JWKS URL. */
export class RemoteKeys {
  readonly #options: RemoteKeysOptions;
  readonly #closed = new AbortController();
  #fetched: Fetched | undefined;
  #fetching: Promise<void> | undefined;
  #failures = 0;
  #lastTryMs = -Infinity;
  #failure: unknown;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  /** The keys of the last good answer, however old: nobody has withdrawn them. */
  get last(): readonly TrustedKey[] {
    return this.#fetched?.keys ?? [];
  }

  /** The keys as they are known now. */
  get known(): readonly TrustedKey[] {
    return this.#usable?.keys ?? [];
  }

  /**
   * Finds the keys of a name.
   *
   * @param kid the name; without one, keys that have none, or the only key there is
   * @returns the keys, none when there are none of that name
   * @throws {LakeSyncError} `ADAPTER_ERROR` when it cannot be told
   */
  async find(kid: string | undefined): Promise<readonly TrustedKey[]> {
    this.refreshWhenOld();
    if (this.#usable === undefined) await this.#fetchUnlessTooSoon();
    const found = this.#named(kid);
    // A set of no keys is looked at again as a name is that is not in it.
    if (found.length > 0 || kid === undefined && this.known.length > 0) return found;
    const { now } = this.#options;
    const soon = now() - this.#lastTryMs < JWKS_LIMITS.unknownEveryMs;
    if (this.#fetching === undefined && soon && this.#failures === 0) return [];
    await this.#fetchUnlessTooSoon();
    return this.#named(kid);
  }

  /** Asks again beside what goes on, when it is time. */
  refreshWhenOld(): void {
    const atMs = this.#fetched?.atMs;
    if (atMs === undefined || this.#options.now() - atMs < JWKS_LIMITS.freshMs) return;
    if (!this.#isTooSoon()) this.#fetchOnce().catch(() => {});
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#fetching?.catch(() => {});
  }

  /** The last good answer, until it is too old. */
  get #usable(): Fetched | undefined {
    const fetched = this.#fetched;
    if (fetched === undefined) return undefined;
    return this.#options.now() - fetched.atMs < JWKS_LIMITS.staleMs ? fetched : undefined;
  }

  #named(kid: string | undefined): readonly TrustedKey[] {
    const found = this.known.filter((key) => key.kid === kid);
    return found.length === 0 && kid === undefined && this.known.length === 1 ? this.known : found;
  }

  #isTooSoon(): boolean {
    if (this.#failures === 0) return false;
    const { backOffMs, maxBackOffMs } = JWKS_LIMITS;
    const waitMs = Math.min(backOffMs * 2 ** (this.#failures - 1), maxBackOffMs);
    return this.#options.now() - this.#lastTryMs < waitMs;
  }

  async #fetchUnlessTooSoon(): Promise<void> {
    try {
      if (this.#isTooSoon() && this.#fetching === undefined) throw this.#failure;
      await this.#fetchOnce();
    } catch (cause) {
      throw new LakeSyncError(
        "ADAPTER_ERROR",
        "The keys that check tokens cannot be fetched now, try again",
        { retryAfterSeconds: 1 },
        { cause },
      );
    }
  }

  #fetchOnce(): Promise<void> {
    return this.#fetching ??= this.#fetch().finally(() => this.#fetching = undefined);
  }

  async #fetch(): Promise<void> {
    const { url, now, removed } = this.#options;
    this.#lastTryMs = now();
    const timeout = new AbortController();
    const timer = setTimeout(
      () => timeout.abort(new Error("No answer came in time")),
      JWKS_LIMITS.timeoutMs,
    );
    try {
      const signal = AbortSignal.any([this.#closed.signal, timeout.signal]);
      const response = await fetch(url, {
        signal,
        redirect: "error",
        headers: { Accept: "application/jwk-set+json, application/json" },
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`The answer has status ${response.status}`);
      }
      const keys = await importAll(JSON.parse(await readBounded(response)));
      const before = this.#fetched?.keys ?? [];
      this.#fetched = { keys, atMs: now() };
      if (this.#failures > 0) logger.info("The keys of the JWKS URL can be fetched again");
      this.#failures = 0;
      const ids = new Set(keys.map(({ id }) => id));
      const gone = before.filter(({ id }) => !ids.has(id));
      if (gone.length > 0) removed(gone.map(({ kid = "without a name" }) => kid));
    } catch (error) {
      this.#failures++;
      this.#failure = error;
      if (this.#failures === 1 && !this.#closed.signal.aborted) {
        logger.warning("The keys of the JWKS URL cannot be fetched: {error}", { error });
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}
