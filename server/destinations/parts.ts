/**
 * Walks over what a destination of a configuration is composed of.
 *
 * @module
 */

import type { AdapterSpec } from "./spec.ts";

/** An adapter and all that it is composed of. */
export function* partsOf(spec: AdapterSpec): Generator<AdapterSpec> {
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
 * An adapter with each that is not composed replaced.
 *
 * @param spec the adapter
 * @param change what stands in the place of one
 */
export function mapParts<T extends AdapterSpec>(
  spec: T,
  change: (spec: AdapterSpec) => AdapterSpec,
): AdapterSpec {
  const part = (spec: AdapterSpec) => mapParts(spec, change);
  switch (spec.type) {
    case "composite": {
      const routes = Object.entries(spec.routes).map(([table, to]) => [table, part(to)]);
      return { ...spec, routes: Object.fromEntries(routes), default: part(spec.default) };
    }
    case "fanout":
      return { ...spec, primary: part(spec.primary), secondaries: spec.secondaries.map(part) };
    case "lifecycle":
      return { ...spec, hot: part(spec.hot), cold: part(spec.cold) };
    default:
      return change(spec);
  }
}
