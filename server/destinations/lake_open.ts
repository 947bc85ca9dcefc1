/**
 * Opens lakes. Loaded only where one is configured.
 *
 * @module
 */

import { type DatabaseAdapter, DelegateAdapter } from "@lakesync/adapters";
import { lakeAdapter, type LakeLocation, lakeLocation } from "@lakesync/adapters/lake";
import type { Catalog } from "@lakesync/adapters/lake/catalog";
import { objectCatalog } from "@lakesync/adapters/lake/catalog/object";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import { formatJson } from "@lakesync/adapters/lake/json";
import type { ObjectStore } from "@lakesync/adapters/object-store";
import { lakePlace } from "./lake_store.ts";
import type { Lakes } from "./lakes.ts";
import type { DestinationContext, LakeSpec } from "./spec.ts";

/** What a lake of a gateway consists of. Nothing is read or written before the first call. */
export interface LakeParts {
  /** Its objects. */
  readonly store: ObjectStore;
  /** What they are called outside. */
  readonly location: LakeLocation;
  /** What an engine must know to read them, in the words of Iceberg's catalogs; no secrets. */
  readonly reading: Readonly<Record<string, string>>;
  /** Knows its tables. */
  readonly catalog: Catalog;
  /** What they are under. */
  readonly namespace: string;
  /** Gives back what is open. */
  close(): Promise<void>;
}

/**
 * Opens the parts of a lake.
 *
 * @param spec what the configuration says
 * @param gatewayId the gateway, which `{gateway}` stands for
 */
export function openLakeParts(spec: LakeSpec, gatewayId: string): LakeParts {
  const named = (text: string) => text.replaceAll("{gateway}", gatewayId);
  const { root, reading, objects } = lakePlace(spec, named);
  const location = lakeLocation(root);
  const catalog = restOf(spec, named) ?? objectCatalog({ store: objects, location });
  return {
    store: objects,
    location,
    reading,
    catalog,
    namespace: named(spec.namespace ?? "{gateway}"),
    close: async () => {
      await catalog.close();
      await objects.close();
    },
  };
}

function restOf({ catalog }: LakeSpec, named: (text: string) => string): Catalog | undefined {
  if (catalog?.type !== "rest") return undefined;
  const { type: _, warehouse, ...options } = catalog;
  return restCatalog({
    ...options,
    ...(warehouse === undefined ? {} : { warehouse: named(warehouse) }),
  });
}

/** A lake with all that is open for it. */
class ServedLake extends DelegateAdapter {
  readonly #parts: LakeParts;
  readonly #hide: () => void;

  constructor(inner: DatabaseAdapter, parts: LakeParts, hide: () => void) {
    super(inner.name, inner);
    this.#parts = parts;
    this.#hide = hide;
  }

  override async close(): Promise<void> {
    this.#hide();
    await super.close();
    await this.#parts.close();
  }
}

/**
 * Opens a lake as a destination.
 *
 * @param spec what the configuration says
 * @param context what it is for
 * @param lakes shows it while it is open
 */
export function openLake(
  spec: LakeSpec,
  { gatewayId, name }: DestinationContext,
  lakes: Lakes,
): DatabaseAdapter {
  const parts = openLakeParts(spec, gatewayId);
  const { store, location, catalog, namespace, reading } = parts;
  const adapter = lakeAdapter({ name, store, location, catalog, namespace });
  const hide = lakes.add({ name, gatewayId, namespace, catalog, reading, write: formatJson });
  return new ServedLake(adapter, parts, hide);
}
