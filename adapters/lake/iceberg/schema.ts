/**
 * Schemas as Iceberg has them, restricted to what LakeSync's tables need: no nested types.
 * Source: Iceberg table specification, "Schemas and Data Types".
 *
 * @module
 */

/** A type of a column. */
export type LakeType =
  | "boolean"
  | "int"
  | "long"
  | "double"
  | "date"
  | "timestamptz"
  | "string"
  | "binary"
  | `decimal(${number}, ${number})`;

/** A column of a table. */
export interface LakeField {
  /** Its number, by which files know it whatever it is called; never used for another one. */
  readonly id: number;
  /** Its name. */
  readonly name: string;
  /** Its type. */
  readonly type: LakeType;
  /** Whether it has a value in every row. */
  readonly required: boolean;
  /** What it is, for people. */
  readonly doc?: string;
}

/** The columns of a table. */
export interface LakeSchema {
  /** The columns in their order. */
  readonly fields: readonly LakeField[];
  /** The columns that name a row; all required. */
  readonly identifierFieldIds?: readonly number[];
}
