/**
 * Values that are kept as JSON (`stored_value.ts`), as columns of DuckDB. Pure functions.
 *
 * @module
 */

import type { ColumnType } from "@lakesync/core";
import type { LakeType } from "../iceberg/schema.ts";
import { typeSql } from "./sql.ts";

/**
 * Reads a value as a column has it.
 *
 * @param json SQL of type JSON; null when there is no value
 * @param type the column's type in the lake
 * @param from the type of its values at LakeSync
 * @returns SQL of the column's type; null for what is no value of it
 */
export function fromJsonSql(json: string, type: LakeType, from: ColumnType): string {
  const text = `json_extract_string(${json}, '$')`;
  const tagged = (tag: string) => `json_extract_string(${json}, '$."$${tag}"')`;
  if (type === "binary") return `from_base64(${tagged("bytes")})`;
  if (type === "long" || type === "double") {
    const number = type === "double" ? `, TRY_CAST(${tagged("number")} AS DOUBLE)` : "";
    const as = typeSql(type);
    return `COALESCE(TRY_CAST(${text} AS ${as}), TRY_CAST(${tagged("int")} AS ${as})${number})`;
  }
  if (from === "json") {
    const whole = `COALESCE(json_extract(${json}, '$."$json"'), ${json})`;
    return `NULLIF(CAST(${whole} AS VARCHAR), 'null')`;
  }
  if (type === "string") return text;
  return `TRY_CAST(${text} AS ${typeSql(type)})`;
}
