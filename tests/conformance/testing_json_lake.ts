/**
 * A lake of JSON that is read back as its objects say: what each of them did is done again, in order.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  type DeltaPage,
  type DestinationKey,
  type LatestState,
  memoryAdapter,
  MemoryData,
  type ObjectStore,
  type Place,
} from "@lakesync/adapters";
import { lakeAdapter } from "@lakesync/adapters/lake";
import { DelegateAdapter } from "../../adapters/delegate.ts";
import { envelopeKey } from "../../adapters/lake/flush/json_adapter.ts";
import { changeOf, effectOf, readEnvelope } from "../../adapters/lake/flush/json_envelope.ts";
import { LOCATION } from "./testing_lake.ts";

/** A lake of JSON over objects. */
export function jsonOver(store: ObjectStore, now: () => number = Date.now): DatabaseAdapter {
  const [location, namespace] = [LOCATION, "main"];
  return lakeAdapter({ store, location, namespace, flushFormat: "json", now });
}

/** Does again what the objects say, from the first to the last. */
async function replayed(store: ObjectStore): Promise<MemoryData> {
  const data = new MemoryData();
  for (let number = 1;; number++) {
    const bytes = await store.getObject(envelopeKey("main", number));
    if (bytes === undefined) return data;
    const { kind, from, position, rows = [], changes = [] } = await readEnvelope(bytes);
    if (position === null || kind === "schema") continue;
    const move = { from: from ?? undefined, to: position };
    if (kind === "rewind") data.rewind(move);
    else if (kind === "refill") data.refill(move);
    else {
      data.insert({
        ...move,
        rows: rows.map(effectOf),
        changes: changes.map(changeOf),
        isWhole: position.slice === undefined,
      });
    }
  }
}

/** A lake of JSON that can be read. */
export class ReadJson extends DelegateAdapter {
  readonly #store: ObjectStore;

  /**
   * @param inner the lake
   * @param store its objects
   */
  constructor(inner: DatabaseAdapter, store: ObjectStore) {
    super("lake of JSON", inner);
    this.#store = store;
  }

  override get capabilities(): Capabilities {
    return { ...this.inner.capabilities, readable: true };
  }

  override async queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    return await memoryAdapter("read", await replayed(this.#store)).queryDeltasSince(after, limit);
  }

  override async getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    return await memoryAdapter("read", await replayed(this.#store)).getLatestState(keys);
  }

  override async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    return await memoryAdapter("read", await replayed(this.#store)).scanState(after, limit);
  }
}
