/**
 * Opens lakes. Loaded only where one is configured.
 *
 * @module
 */

import { type DatabaseAdapter, DelegateAdapter } from "@lakesync/adapters";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import type { Catalog } from "@lakesync/adapters/lake/catalog";
import { objectCatalog } from "@lakesync/adapters/lake/catalog/object";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import { formatJson } from "@lakesync/adapters/lake/json";
import type { Lakes } from "./lakes.ts";
import { lakePlace, type LazyObjects } from "./lake_store.ts";
import type { DestinationContext, LakeSpec } from "./spec.ts";

/** What a lake is opened for. */
export interface LakeContext extends DestinationContext {
  /** Shows it while it is open. */
  readonly lakes: Lakes;
  /** Puts the gateway's id in the place of `{gateway}`. */
  readonly named: (text: string) => string;
}

/** A lake with all that is open for it. */
class ServedLake extends DelegateAdapter {
  readonly #hide: () => void;
  readonly #catalog: Catalog;
  readonly #objects: LazyObjects;

  constructor(inner: DatabaseAdapter, hide: () => void, catalog: Catalog, objects: LazyObjects) {
    super(inner.name, inner);
    this.#hide = hide;
    this.#catalog = catalog;
    this.#objects = objects;
  }

  override async close(): Promise<void> {
    this.#hide();
    await super.close();
    await this.#catalog.close();
    await this.#objects.close();
  }
}

/**
 * Opens a lake. Nothing is read or written before the first call.
 *
 * @param spec what the configuration says
 * @param context what it is for
 */
export function openLake(
  spec: LakeSpec,
  { gatewayId, name, lakes, named }: LakeContext,
): DatabaseAdapter {
  const { root, reading, objects } = lakePlace(spec, named);
  const location = lakeLocation(root);
  const namespace = named(spec.namespace ?? "{gateway}");
  const catalog = catalogOf(spec, named) ?? objectCatalog({ store: objects, location });
  const adapter = lakeAdapter({ name, store: objects, location, catalog, namespace });
  const hide = lakes.add({ name, gatewayId, namespace, catalog, reading, write: formatJson });
  return new ServedLake(adapter, hide, catalog, objects);
}

function catalogOf({ catalog }: LakeSpec, named: (text: string) => string): Catalog | undefined {
  if (catalog?.type !== "rest") return undefined;
  const { type: _, warehouse, ...options } = catalog;
  return restCatalog({
    ...options,
    ...(warehouse === undefined ? {} : { warehouse: named(warehouse) }),
  });
}
