/**
 * Deno KV as one gateway uses it: keys with the gateway's prefix, batches within the limits of KV,
 * and the counting of operations.
 *
 * @module
 */

import { type GatewayKey, type KeyPart, prefixOf } from "./_kv_keys.ts";

/** A change of one key: a value to set, or null to remove it. */
export interface KvWrite {
  /** The key. */
  readonly key: GatewayKey;
  /** The value, null for none. */
  readonly value: unknown;
}

/** A value with its version; both are null when there is none. */
export interface KvFound {
  /** The value. */
  readonly value: unknown;
  /** The version. */
  readonly versionstamp: string | null;
}

/** A value found by its prefix, with the rest of its key. */
export interface KvListed extends KvFound {
  /** The key. */
  readonly key: GatewayKey;
}

/** What a list is about. */
export interface KvRange {
  /** What the keys begin with. */
  readonly prefix: GatewayKey;
  /** The first key, if not the first of the prefix. */
  readonly start?: GatewayKey;
  /** The key after the last, if not all of the prefix; not together with `start`. */
  readonly end?: GatewayKey;
  /** How many at most. */
  readonly limit: number;
}

/** Keys of one `getMany`. */
const KEYS_PER_GET = 10;

/** How many `getMany` are under way at once. */
const GETS_AT_ONCE = 10;

/** KV takes 1,000 changes, 800 KiB and 80 KiB of keys in one atomic; these leave some room. */
const MAX_WRITES = 900;
const MAX_BYTES = 700 * 1024;
const MAX_KEY_BYTES = 70 * 1024;

/** One gateway's part of a KV database. */
export class KvSession {
  /** Operations executed. */
  statements = 0;
  /** Entries they returned. */
  rowsRead = 0;
  readonly #kv: Deno.Kv;
  readonly #prefix: readonly string[];
  readonly #prefixBytes: number;

  /**
   * @param kv the database
   * @param gatewayId the gateway
   */
  constructor(kv: Deno.Kv, gatewayId: string) {
    this.#kv = kv;
    this.#prefix = prefixOf(gatewayId);
    this.#prefixBytes = keySize(this.#prefix);
  }

  /** Reads one value. */
  async get(key: GatewayKey): Promise<KvFound> {
    this.statements++;
    const found = await this.#kv.get<unknown>(this.#full(key));
    if (found.versionstamp !== null) this.rowsRead++;
    return found;
  }

  /** Reads values; the answer has one element for each key. */
  async getMany(keys: readonly GatewayKey[]): Promise<readonly KvFound[]> {
    const found: KvFound[] = [];
    const window = KEYS_PER_GET * GETS_AT_ONCE;
    for (let start = 0; start < keys.length; start += window) {
      const batches = chunk(keys.slice(start, start + window), KEYS_PER_GET);
      const answers = await Promise.all(
        batches.map((batch) => this.#kv.getMany<unknown[]>(batch.map((key) => this.#full(key)))),
      );
      this.statements += batches.length;
      found.push(...answers.flat());
    }
    this.rowsRead += found.filter(({ versionstamp }) => versionstamp !== null).length;
    return found;
  }

  /** Reads what is in a range, in order. */
  async list(range: KvRange): Promise<readonly KvListed[]> {
    const prefix = this.#full(range.prefix);
    const selector: Deno.KvListSelector = range.end
      ? { prefix, end: this.#full(range.end) }
      : range.start
      ? { prefix, start: this.#full(range.start) }
      : { prefix };
    const found: KvListed[] = [];
    const options = { limit: range.limit, batchSize: Math.min(range.limit, 500) };
    for await (const entry of this.#kv.list<unknown>(selector, options)) {
      found.push({ ...entry, key: this.#short(entry.key) });
    }
    this.statements++;
    this.rowsRead += found.length;
    return found;
  }

  /**
   * Writes in one atomic.
   *
   * @param writes what to change, within the limits of KV
   * @param checks keys that must still have a version
   * @returns the new version, or undefined when a check failed
   */
  async write(
    writes: readonly KvWrite[],
    checks: readonly {
      readonly key: GatewayKey;
      readonly versionstamp: string | null;
    }[] = [],
  ): Promise<string | undefined> {
    this.statements++;
    const atomic = this.#kv.atomic();
    for (const { key, versionstamp } of checks) {
      atomic.check({ key: this.#full(key), versionstamp });
    }
    for (const { key, value } of writes) {
      if (value === null) atomic.delete(this.#full(key));
      else atomic.set(this.#full(key), value);
    }
    const result = await atomic.commit();
    return result.ok ? result.versionstamp : undefined;
  }

  /** Sets a value that may be null, which means something of its own among staged values. */
  stage(writes: readonly KvWrite[]): Promise<unknown> {
    this.statements++;
    const atomic = this.#kv.atomic();
    for (const { key, value } of writes) atomic.set(this.#full(key), value);
    return atomic.commit();
  }

  /**
   * Cuts writes into groups that each fit one atomic.
   *
   * @param writes the writes
   * @param share which part of an atomic a group may fill, 1 for all of it
   * @returns the groups, in order
   */
  fit(
    writes: readonly KvWrite[],
    share = 1,
  ): readonly (readonly KvWrite[])[] {
    const groups: KvWrite[][] = [];
    let group: KvWrite[] = [];
    let keyBytes = 0;
    let bytes = 0;
    for (const write of writes) {
      const key = this.#prefixBytes + keySize(write.key);
      const size = key + sizeOf(write.value);
      const full = group.length + 1 > MAX_WRITES * share ||
        keyBytes + key > MAX_KEY_BYTES * share ||
        bytes + size > MAX_BYTES * share;
      if (full && group.length > 0) {
        groups.push(group);
        group = [];
        keyBytes = 0;
        bytes = 0;
      }
      group.push(write);
      keyBytes += key;
      bytes += size;
    }
    return group.length > 0 ? [...groups, group] : groups;
  }

  #full(key: GatewayKey): Deno.KvKey {
    return [...this.#prefix, ...key];
  }

  #short(key: Deno.KvKey): GatewayKey {
    const [first, ...rest] = key.slice(this.#prefix.length);
    return [String(first), ...rest.filter(isKeyPart)];
  }
}

function isKeyPart(part: Deno.KvKeyPart): part is KeyPart {
  return typeof part === "string" || typeof part === "number" ||
    typeof part === "boolean";
}

function chunk<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from(
    { length: Math.ceil(items.length / size) },
    (_, index) => items.slice(index * size, (index + 1) * size),
  );
}

const encoder = new TextEncoder();

/** At least the bytes the parts of a key take in KV. */
function keySize(key: readonly KeyPart[]): number {
  return key.reduce<number>(
    (sum, part) => sum + 2 + (typeof part === "string" ? encoder.encode(part).length : 8),
    0,
  );
}

/** At least the bytes a value takes in KV; a text may take two bytes for each character. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length * 2 + 8;
  if (value instanceof Uint8Array) return value.length + 16;
  if (typeof value !== "object" || value === null) return 12;
  return Object.entries(value).reduce(
    (sum, [name, part]) => sum + name.length + 8 + sizeOf(part),
    16,
  );
}
