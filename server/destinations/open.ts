/**
 * Makes adapters of what a configuration says. Drivers are loaded only where one is configured.
 *
 * @module
 */

import { type DatabaseAdapter, DestinationError } from "@lakesync/adapters";
import type { AdapterSpec, DestinationContext, OpenAdapter } from "./spec.ts";

/** An adapter and all that it is composed of. */
function* partsOf(spec: AdapterSpec): Generator<AdapterSpec> {
  yield spec;
  switch (spec.type) {
    case "composite":
      for (const part of [...Object.values(spec.routes), spec.default]) yield* partsOf(part);
      return;
    case "fanout":
      for (const part of [spec.primary, ...spec.secondaries]) yield* partsOf(part);
      return;
    case "lifecycle":
      for (const part of [spec.hot, spec.cold]) yield* partsOf(part);
  }
}

/**
 * Loads what adapters need.
 *
 * @param specs all that may be opened
 * @returns opens them
 */
// deno-lint-ignore require-await -- drivers come
export async function loadAdapters(specs: readonly AdapterSpec[]): Promise<OpenAdapter> {
  const types = new Set(specs.flatMap((spec) => [...partsOf(spec)].map(({ type }) => type)));
  function open(spec: AdapterSpec, context: DestinationContext): DatabaseAdapter {
    if (spec.type === "custom") return spec.open(context);
    throw new DestinationError("stop", `No driver for ${[...types].join(", ")}`);
  }
  return open;
}
