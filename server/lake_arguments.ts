/**
 * From the arguments of commands about a lake to what they ask for.
 *
 * @module
 */

import { isGatewayId } from "@lakesync/core";
import type { ConfigFile } from "./config_file.ts";
import { completeAll, DATA_LAKE } from "./destinations/lake_defaults.ts";
import { destinationAt } from "./destinations/parse.ts";
import { partsOf } from "./destinations/parts.ts";
import type { DestinationSpecs, LakeSpec } from "./destinations/spec.ts";
import { LAKE_MAINTAIN_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** Lakes of a gateway that a command line names. */
export interface ChosenLakes {
  /** The gateway. */
  readonly gw: string;
  /** The lakes by the names of the destinations that they are, or are a part of. */
  readonly lakes: readonly (readonly [destination: string, spec: LakeSpec])[];
}

/** What is to be maintained. */
export interface LakeMaintainConfig extends ChosenLakes {
  /** What to do. */
  readonly command: "lake maintain";
  /** The data folder, which a gateway that runs holds. */
  readonly data: string;
}

function specsOf(values: Values, gw: string, file: ConfigFile): DestinationSpecs {
  const to = values.optional("to");
  if (to === undefined) {
    const known = file.gateways[gw]?.destinations ?? file.destinations;
    return Object.keys(known).length === 0 ? { lake: DATA_LAKE } : known;
  }
  const spec = destinationAt(to);
  if (spec.type !== "lake") throw values.wrong("to", "is lake, file:///… or s3://… here");
  return { lake: spec };
}

/**
 * Finds the lakes that `--to`, or else a configuration, names for the gateway of `--gw`; where no
 * destination is configured, that of the data folder.
 *
 * @param values the settings that were given: `to`, `gw` and `data`
 * @param env reads an environment variable
 * @param file what the configuration file says
 * @throws {UsageError} also when there are none
 */
export function chosenLakes(
  values: Values,
  env: (name: string) => string | undefined,
  file: ConfigFile,
): ChosenLakes {
  const gw = values.needed("gw");
  if (!isGatewayId(gw)) throw new UsageError("--gw is the id of one gateway");
  const specs = completeAll(specsOf(values, gw, file), { env, data: values.needed("data") });
  const lakes = Object.entries(specs).flatMap(([name, spec]) =>
    [...partsOf(spec)].flatMap((part) => part.type === "lake" ? [[name, part] as const] : [])
  );
  if (lakes.length > 0) return { gw, lakes };
  throw new UsageError(
    `The gateway ${gw} has no lake as a destination, give --to or --config`,
  );
}

/**
 * Reads the arguments of `lakesync lake …`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param file what the configuration file says
 * @throws {UsageError}
 */
export function lakeCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
  file: ConfigFile,
): LakeMaintainConfig {
  const [first, ...rest] = args;
  if (first !== "maintain") throw new UsageError("There is lakesync lake maintain");
  const values = new Values(rest, LAKE_MAINTAIN_SETTINGS, env, file.settings);
  return {
    command: "lake maintain",
    ...chosenLakes(values, env, file),
    data: values.needed("data"),
  };
}
