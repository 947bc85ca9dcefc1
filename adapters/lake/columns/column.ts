/**
 * Values of one column as buffers, laid out as Arrow does: nothing is an object per value, so a
 * column can be built, gathered, sent to a thread and written without looking at its values again.
 *
 * @module
 */

import type { LakeType } from "../iceberg/schema.ts";

/** What the values of a column are kept in, by their type. */
export type ColumnData =
  /** `boolean`: one bit a value, the lowest first. */
  | { readonly kind: "bits"; readonly bits: Uint8Array }
  /** `int`, `date` (days since 1970). */
  | { readonly kind: "int32"; readonly values: Int32Array }
  /** `long`, `timestamptz` (microseconds since 1970 in UTC). */
  | { readonly kind: "int64"; readonly values: BigInt64Array }
  /** `double`. */
  | { readonly kind: "float64"; readonly values: Float64Array }
  /** `decimal(p,s)`: 128 bits a value, low half first, the unscaled number in two's complement. */
  | { readonly kind: "int128"; readonly halves: BigInt64Array }
  /** `string` (UTF-8) and `binary`: value i is `bytes[offsets[i] .. offsets[i + 1]]`. */
  | { readonly kind: "bytes"; readonly offsets: Int32Array; readonly bytes: Uint8Array };

/** One column of so many rows. */
export interface Column {
  /** The type, which decides what `data` is. */
  readonly type: LakeType;
  /** How many values. */
  readonly length: number;
  /** How many of them are null. */
  readonly nulls: number;
  /** One bit a value, the lowest first: 1 where there is one. Undefined when none is null. */
  readonly validity: Uint8Array | undefined;
  /** The values; at a null is anything. */
  readonly data: ColumnData;
}
