/**
 * Opens lakes. Loaded only where one is configured.
 *
 * @module
 */

import { type DatabaseAdapter, DelegateAdapter, type FlushBatch } from "@lakesync/adapters";
import {
  jsonLakeAdapter,
  lakeAdapter,
  type LakeLocation,
  lakeLocation,
} from "@lakesync/adapters/lake";
import type { Catalog } from "@lakesync/adapters/lake/catalog";
import { objectCatalog } from "@lakesync/adapters/lake/catalog/object";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import { formatJson } from "@lakesync/adapters/lake/iceberg";
import {
  DEFAULT_MAINTENANCE,
  isLake,
  type Lake,
  LakeKeeper,
  type LakeWork,
  type MaintenanceSettings,
} from "@lakesync/adapters/lake/maintain";
import { openRows } from "@lakesync/adapters/lake/rows";
import type { ObjectStore } from "@lakesync/adapters/object-store";
import { DENO_ENVIRONMENT } from "../environment.ts";
import { lakePlace } from "./lake_store.ts";
import type { LakeTools, ServerThreads } from "./lake_threads.ts";
import type { Serving } from "./lakes.ts";
import type { DestinationContext, LakeSpec } from "./spec.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

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

/**
 * Sees that there is a lake, which only a gateway that flushes to it makes.
 *
 * @param parts where it is to be
 * @throws {Error} when there is none
 */
export async function checkLake(parts: LakeParts): Promise<void> {
  if (await isLake(parts)) return;
  const { location, namespace } = parts;
  throw new Error(
    `There is no lake in ${location.root}: no tables under ${namespace}, which the gateway makes ` +
      "when it first reaches the lake; check the place and the gateway's id",
  );
}

function restOf({ catalog }: LakeSpec, named: (text: string) => string): Catalog | undefined {
  if (catalog?.type !== "rest") return undefined;
  const { type: _, warehouse, ...options } = catalog;
  return restCatalog({
    ...options,
    ...(warehouse === undefined ? {} : { warehouse: named(warehouse) }),
  });
}

/**
 * A lake whose tables can be worked on.
 *
 * @param parts the lake
 * @param tools what writes and reads its files
 */
export function workable(
  { store, location, catalog, namespace }: LakeParts,
  { writer, reader }: LakeTools,
): Lake {
  const { now, nextTurn } = DENO_ENVIRONMENT;
  return { store, location, catalog, namespace, writer, reader, now, nextTurn };
}

/**
 * How a lake is worked on.
 *
 * @param spec what the configuration says
 */
export function workOf({ mergeEveryMs, retentionDays }: LakeSpec): LakeWork {
  return {
    ...(mergeEveryMs === undefined ? {} : { schedule: { mergeEveryMs } }),
    ...(retentionDays === undefined ? {} : {
      maintenance: { thinning: thinnedTo(retentionDays * DAY_MS) },
    }),
  };
}

function thinnedTo(dailyMs: number): MaintenanceSettings["thinning"] {
  const { allMs, oftenMs, hourlyMs } = DEFAULT_MAINTENANCE.thinning;
  return {
    allMs: Math.min(allMs, dailyMs),
    oftenMs: Math.min(oftenMs, dailyMs),
    hourlyMs: Math.min(hourlyMs, dailyMs),
    dailyMs,
  };
}

/** What a server does for a lake while it is open. */
interface Service {
  /** Merges soon. */
  hurry(): void;
  /** Ends it. */
  close(): Promise<void>;
}

/** A lake with all that is open for it. */
class ServedLake extends DelegateAdapter {
  readonly #parts: LakeParts;
  readonly #tools: LakeTools;
  readonly #service: Service | undefined;
  #isNew = true;

  constructor(
    inner: DatabaseAdapter,
    parts: LakeParts,
    tools: LakeTools,
    service: Service | undefined,
  ) {
    super(inner.name, inner);
    this.#parts = parts;
    this.#tools = tools;
    this.#service = service;
  }

  /** Who looks for the first rows is not to wait for the next merge. */
  override async insertDeltas(batch: FlushBatch): Promise<void> {
    await super.insertDeltas(batch);
    if (this.#isNew && batch.changes.length + batch.rows.length > 0) {
      this.#isNew = false;
      this.#service?.hurry();
    }
  }

  override async close(): Promise<void> {
    await this.#service?.close();
    await super.close();
    await this.#tools.close();
    await this.#parts.close();
  }
}

/**
 * Opens a lake as a destination. A server keeps it in shape and shows it, until it is closed.
 *
 * @param spec what the configuration says
 * @param context what it is for
 * @param threads what writes and reads files
 * @param serving what a server has for it; it is only written to without
 */
export function openLake(
  spec: LakeSpec,
  context: DestinationContext,
  threads: ServerThreads,
  serving?: Serving,
): DatabaseAdapter {
  const { name, gatewayId } = context;
  const parts = openLakeParts(spec, gatewayId);
  const { store, location, catalog, namespace } = parts;
  const isJson = spec.flushFormat === "json";
  const service = serving === undefined || isJson
    ? undefined
    : serve(spec, context, parts, threads.upkeep.lend(), serving);
  const tools = threads.flush.lend();
  const { writer, reader } = tools;
  const adapter = isJson
    ? jsonLakeAdapter({ name, store, namespace })
    : lakeAdapter({ name, store, location, catalog, namespace, writer, reader });
  return new ServedLake(adapter, parts, tools, service);
}

/** Keeps a lake in shape and shows it. */
function serve(
  spec: LakeSpec,
  { name, gatewayId }: DestinationContext,
  parts: LakeParts,
  tools: LakeTools,
  { env, lakes }: Serving,
): Service {
  const { catalog, namespace, reading } = parts;
  const lake = workable(parts, tools);
  const keeper = new LakeKeeper(lake, env, workOf(spec));
  const status = () => keeper.status;
  const write = formatJson;
  const rows = { open: (tables: readonly number[]) => openRows(lake, tables) };
  const hide = lakes.add({
    ...{ name, gatewayId, namespace, catalog, reading, status, write },
    ...(spec.checkpoints === true ? { rows } : {}),
  });
  keeper.start();
  return {
    hurry: () => keeper.hurry(),
    close: async () => {
      hide();
      await keeper.close();
      await tools.close();
    },
  };
}
