/**
 * A database adapter in memory, for tests and for trying out. It is exact to the port, and what
 * others are held against.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  type DeltaPage,
  DestinationError,
  type DestinationKey,
  type Place,
  type StoredChange,
} from "./adapter.ts";
import { MemoryData } from "./memory_data.ts";
import { compareKeys, comparePlaces } from "./place.ts";

export { MemoryData } from "./memory_data.ts";

const CAPABILITIES: Capabilities = {
  readable: true,
  materialised: false,
  foreignKeys: false,
  transactionalDdl: true,
  nulInText: true,
  mergesRows: true,
  knowsChanges: true,
};

/**
 * Opens a database adapter in memory.
 *
 * @param name its name, for status and log
 * @param data what it holds, when it is opened again
 *
 * @example
 * ```ts
 * import { memoryAdapter } from "@lakesync/adapters";
 *
 * const adapter = memoryAdapter();
 * console.assert(await adapter.position() === undefined);
 * await adapter.close();
 * ```
 */
export function memoryAdapter(
  name: string = "memory",
  data: MemoryData = new MemoryData(),
): DatabaseAdapter {
  let isClosed = false;
  // deno-lint-ignore require-await -- what fails, fails by a rejection
  async function call<T>(run: () => T): Promise<T> {
    if (isClosed) throw new DestinationError("later", `${name} is closed, open it again`);
    return run();
  }
  return {
    name,
    capabilities: CAPABILITIES,
    position: () => call(() => structuredClone(data.position)),
    ensureSchema: (schema) =>
      call(() => {
        if (schema.version >= (data.schema?.version ?? 0)) data.schema = schema;
      }),
    insertDeltas: (batch) => call(() => data.insert(batch)),
    rewind: (move) => call(() => data.rewind(move)),
    refill: (move) => call(() => data.refill(move)),
    unsettled: (limit) => call(() => firstOf(data.unsettled, limit)),
    schema: () => call(() => data.schema),
    queryDeltasSince: (after, limit) => call(() => pageOf(data, after, limit)),
    getLatestState: (keys) => call(() => keys.map((key) => data.row(key))),
    scanState: (after, limit) =>
      call(() => {
        const { sorted } = data;
        const start = after === undefined ? 0 : firstAfter(sorted, after);
        return sorted.slice(start, start + limit);
      }),
    forget: (what) => call(() => data.forget(what)),
    forgottenSeq: () => call(() => data.forgottenSeq),
    problems: () => call(() => []),
    close: () => {
      isClosed = true;
      return Promise.resolve();
    },
  };
}

function pageOf(data: MemoryData, after: Place, limit: number): DeltaPage {
  const all = data.changesAfter(after);
  const { forgottenSeq } = data;
  const isTrimmed = after.slice === undefined
    ? after.seq < forgottenSeq
    : after.seq <= forgottenSeq;
  const changes = wholeSlices(all, limit);
  return { changes, isComplete: changes.length === all.length, isTrimmed };
}

/** The first changes: so many that the limit is reached, up to the end of a slice. */
function wholeSlices(changes: readonly StoredChange[], limit: number): readonly StoredChange[] {
  const last = changes[limit - 1];
  if (last === undefined) return changes;
  let end = limit;
  for (; end < changes.length; end++) {
    const next = changes[end];
    if (next !== undefined && comparePlaces(next, last) !== 0) break;
  }
  return changes.slice(0, end);
}

function firstAfter(
  sorted: readonly { readonly key: DestinationKey }[],
  after: DestinationKey,
): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const row = sorted[middle];
    if (row !== undefined && compareKeys(row.key, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstOf<T>(items: Iterable<T>, limit: number): readonly T[] {
  const found: T[] = [];
  for (const item of items) {
    if (found.length >= limit) break;
    found.push(item);
  }
  return found;
}
