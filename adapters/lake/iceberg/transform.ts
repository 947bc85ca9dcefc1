/**
 * How the value of a partition is made from a row's.
 * Source: Iceberg table specification, "Partition Transforms".
 *
 * @module
 */

import type { PartitionSpec, TableSchema } from "./metadata.ts";
import { MetadataError } from "./metadata.ts";
import type { SingleValue } from "./single_value.ts";

const MICROS_PER_HOUR = 3_600_000_000n;
const MICROS_PER_DAY = 24n * MICROS_PER_HOUR;

function floorDivide(value: bigint, by: bigint): number {
  const whole = value / by;
  return Number(value < 0n && whole * by !== value ? whole - 1n : whole);
}

/**
 * The day of a moment, in days since 1970 in UTC.
 *
 * @param micros the moment, in microseconds since 1970
 */
export function dayOf(micros: bigint): number {
  return floorDivide(micros, MICROS_PER_DAY);
}

/**
 * The hour of a moment, in hours since 1970.
 *
 * @param micros the moment, in microseconds since 1970
 */
export function hourOf(micros: bigint): number {
  return floorDivide(micros, MICROS_PER_HOUR);
}

/**
 * Whether the order of values is the order of what a transform makes of them, so that a range of
 * values can be looked for among partitions.
 *
 * @param transform its name
 */
export function keepsOrder(transform: string): boolean {
  return transform === "identity" || transform === "day" || transform === "hour";
}

/**
 * Makes the value of a partition.
 *
 * @param transform its name
 * @param value the row's value; null stays null
 * @throws {MetadataError} when the transform is none of `identity`, `day`, `hour` and `void`
 */
export function partitionValue(
  transform: string,
  value: SingleValue | null,
): SingleValue | null {
  if (value === null || transform === "void") return null;
  if (transform === "identity") return value;
  // A date has no hours; its day is itself.
  if (transform === "day" && typeof value === "number") return value;
  if (typeof value === "bigint") {
    if (transform === "day") return dayOf(value);
    if (transform === "hour") return hourOf(value);
  }
  throw new MetadataError(`Rows cannot be kept apart by ${transform} of a ${typeof value}`);
}

function resultType(transform: string, source: string): string {
  if (transform === "day") return "date";
  if (/^(year|month|hour|bucket\[\d+\])$/.test(transform)) return "int";
  return source;
}

/**
 * The types of a partition's values, in the order of the spec.
 *
 * @param spec the spec
 * @param schemas schemas of the table, the newest last, since a column may be gone from that
 * @throws {MetadataError} when a column is in none
 */
export function partitionTypes(
  spec: PartitionSpec,
  schemas: readonly TableSchema[],
): readonly string[] {
  return spec.fields.map((field) => {
    const source = schemas.findLast(({ fields }) =>
      fields.some(({ id }) => id === field["source-id"])
    )?.fields.find(({ id }) => id === field["source-id"]);
    if (typeof source?.type !== "string") {
      throw new MetadataError(`The column of the partition field ${field.name} is not known`);
    }
    return resultType(field.transform, source.type);
  });
}

/**
 * Names a partition: the same for files of the same one.
 *
 * @param specId the partition spec
 * @param partition a value for each of its fields
 */
export function partitionKey(specId: number, partition: readonly (SingleValue | null)[]): string {
  return [specId, ...partition.map((value) => `${typeof value} ${value}`)].join("\u0000");
}
