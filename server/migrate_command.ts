/**
 * `lakesync migrate`: brings everything that one destination holds to another one.
 *
 * @module
 */

import { migrateAdapter, type MigrationProgress, type MigrationResult } from "@lakesync/adapters";
import { completeLakes } from "./destinations/lake_defaults.ts";
import { loadAdapters } from "./destinations/open.ts";
import { destinationAt } from "./destinations/parse.ts";
import type { DestinationSpec, DestinationSpecs } from "./destinations/spec.ts";
import { MIGRATE_SETTINGS } from "./settings.ts";
import type { ConfigFile } from "./config_file.ts";
import { UsageError, Values } from "./values.ts";

/** What to migrate. */
export interface MigrateConfig {
  /** What to do. */
  readonly command: "migrate";
  /** The destination that has everything. */
  readonly from: DestinationSpec;
  /** The destination that gets it. */
  readonly to: DestinationSpec;
  /** The gateway that `{gateway}` stands for. */
  readonly gw: string;
  /** The tables; all unless given. */
  readonly tables: readonly string[] | undefined;
  /** So many changes or rows are written at once. */
  readonly batchSize: number;
}

/** A destination by its address, or by its name in the configuration. */
function destinationOf(text: string, specs: DestinationSpecs): DestinationSpec {
  if (Object.hasOwn(specs, text) && specs[text] !== undefined) return specs[text];
  if (text === "lake" || URL.parse(text) !== null) return destinationAt(text);
  const known = Object.keys(specs).join(", ");
  throw new UsageError(
    `There is no destination ${text}, ${
      known === "" ? "give an address or --config" : `there are ${known}`
    }`,
  );
}

/**
 * Reads the arguments of `lakesync migrate`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param file what the configuration file says
 * @throws {UsageError}
 */
export function migrateConfig(
  args: readonly string[],
  env: (name: string) => string | undefined,
  file: ConfigFile,
): MigrateConfig {
  const { data } = file.settings;
  const values = new Values(args, MIGRATE_SETTINGS, env, data === undefined ? {} : { data });
  const gw = values.needed("gw");
  const specs = file.gateways[gw]?.destinations ?? file.destinations;
  const batchSize = Number(values.needed("batch-size"));
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new UsageError("--batch-size is a whole number from 1");
  }
  const named = (flag: string) =>
    completeLakes(destinationOf(values.needed(flag), specs), { env, data: values.needed("data") });
  return {
    command: "migrate",
    from: named("from"),
    to: named("to"),
    gw,
    tables: values.optional("tables")?.split(","),
    batchSize,
  };
}

/**
 * Migrates.
 *
 * @param config what
 * @param onProgress told of each batch
 * @returns the figures
 * @throws {MigrationError} when the two differ in the end
 */
export async function migrate(
  { from, to, gw, tables, batchSize }: MigrateConfig,
  onProgress?: (progress: MigrationProgress) => void,
): Promise<MigrationResult> {
  const open = await loadAdapters([from, to]);
  const [source, target] = [from, to].map(({ flush: _, ...spec }, i) =>
    open(spec, { gatewayId: gw, name: i === 0 ? "from" : "to" })
  );
  if (source === undefined || target === undefined) throw new Error("Two adapters are opened");
  try {
    return await migrateAdapter({
      from: source,
      to: target,
      batchSize,
      ...(tables === undefined ? {} : { tables }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}

/**
 * The figures as lines to read.
 *
 * @param result the figures
 */
export function migrationLines(
  { position, isCompared, tables, changes, floor }: MigrationResult,
): string[] {
  return [
    ...isCompared ? [] : ["the new one cannot be read back, so the two were not compared"],
    ...Object.entries(tables).map(([name, { rows, checksum }]) =>
      `${name}: ${rows} rows, checksum ${checksum} on both sides`
    ),
    `${changes} changes written, now at commit ${position?.seq ?? 0}` +
    (floor === 0 ? "" : `; changes up to commit ${floor} were no longer there`),
  ];
}
