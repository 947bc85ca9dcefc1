/**
 * Column types as MySQL has them.
 *
 * Texts are compared byte by byte, trailing spaces included. Those of a key or a reference are of
 * a bounded length, since an index takes 3,072 bytes: 768 characters, fewer in a key of several
 * texts. A column of a key that is a `timestamp` or a `decimal` is text: what is written in two ways
 * is two keys. A decimal has 30 digits after the point at most. `double` has no -0, and MySQL's
 * `json` its own order of members; the cells in `lakesync_state` are as they were given.
 *
 * @module
 */

import {
  type Column,
  type ColumnType,
  decimalParts,
  fromPlainJson,
  type Value,
} from "@lakesync/core";

/** The bytes that an index takes. */
const MAX_INDEX_BYTES = 3_072;
/** The longest text of a key or a reference, in characters of up to four bytes. */
const MAX_KEY_CHARACTERS = MAX_INDEX_BYTES / 4;
/** The most digits of a decimal after the point. */
const MAX_SCALE = 30;

const ASCII = "character set ascii collate ascii_bin";

const NATIVE: Readonly<Record<string, string>> = {
  string: "longtext",
  integer: "bigint",
  number: "double",
  boolean: "tinyint(1)",
  timestamp: "datetime(6)",
  date: "date",
  uuid: `char(36) ${ASCII}`,
  bytes: "longblob",
  json: "json",
};

/** What of a column its type depends on. */
export type TypedColumn = Pick<Column, "key" | "type" | "references">;

/** Whether a column's values are kept as text so that no two of them are the same. */
function isTextKey({ key, type }: TypedColumn): boolean {
  return key && (type === "timestamp" || decimalParts(type) !== undefined);
}

/**
 * The type that a column is made with.
 *
 * @param column the column
 * @param primaryKey the columns of the table's key
 */
export function nativeOf(column: TypedColumn, primaryKey: readonly TypedColumn[]): string {
  const { key, type, references } = column;
  if (isTextKey(column)) return `varchar(${type === "timestamp" ? 27 : 41}) ${ASCII}`;
  if (type === "string" && key) return `varchar(${keyCharacters(primaryKey)})`;
  if (type === "string" && references !== undefined) return `varchar(${MAX_KEY_CHARACTERS})`;
  const decimal = decimalParts(type);
  if (decimal !== undefined) {
    const scale = Math.min(decimal.scale, MAX_SCALE);
    return `decimal(${decimal.precision - decimal.scale + scale},${scale})`;
  }
  return NATIVE[type] ?? "longtext";
}

function keyCharacters(primaryKey: readonly TypedColumn[]): number {
  const texts = primaryKey.filter(({ type }) => type === "string").length;
  const others = (primaryKey.length - texts) * 41;
  return Math.min(MAX_KEY_CHARACTERS, Math.floor((MAX_INDEX_BYTES - others) / 4 / texts));
}

/** What a column is that is there already. */
export interface NativeColumn {
  /** Its type in full, as `information_schema` has it, in lower case. */
  readonly type: string;
  /** How its texts are compared; undefined when it holds none. */
  readonly collation: string | undefined;
}

/** Types that hold every value of a type, or refuse those that they do not hold. */
const COMPATIBLE: Readonly<Record<string, RegExp>> = {
  string: /^(tinytext|text|mediumtext|longtext|varchar\(\d+\))$/,
  integer: /^(tinyint|smallint|mediumint|int|bigint)(\(\d+\))?( unsigned)?$/,
  number: /^double$/,
  boolean: /^(tinyint(\(\d+\))?|bool(ean)?)$/,
  timestamp: /^datetime\(6\)$/,
  date: /^date$/,
  uuid: /^(char\(36\)|varchar\(\d+\))$/,
  bytes: /^(tinyblob|blob|mediumblob|longblob|varbinary\(\d+\))$/,
  json: /^(json|longtext)$/,
};

/**
 * Tells whether a column that is there can hold the values of a column of the schema exactly, or
 * refuses those that it cannot.
 *
 * @param column the column of the schema
 * @param there the column that is there
 * @returns what is wrong with it; undefined when it can
 */
export function incompatibility(column: TypedColumn, there: NativeColumn): string | undefined {
  const { key, type, references } = column;
  const { collation } = there;
  const isText = type === "string" || type === "uuid" || type === "json" || isTextKey(column);
  if (collation !== undefined && !/^(utf8mb4|ascii)_/.test(collation)) {
    return `has the character set of ${collation}, and must have utf8mb4`;
  }
  const isCompared = isText && (key || references !== undefined);
  if (isCompared && collation !== undefined && !isExact(collation, there.type)) {
    return `is compared by ${collation}, by which different keys are the same: give it ` +
      `utf8mb4_0900_bin (MySQL) or utf8mb4_nopad_bin (MariaDB)`;
  }
  const wanted = isTextKey(column) ? undefined : decimalParts(type);
  if (wanted !== undefined) {
    const found = nativeDecimal(there.type);
    const scale = Math.min(wanted.scale, MAX_SCALE);
    const fits = found !== undefined && found.scale >= scale &&
      found.precision - found.scale >= wanted.precision - wanted.scale;
    return fits ? undefined : `is ${there.type}, which does not hold every ${type}`;
  }
  const pattern = isTextKey(column) ? COMPATIBLE.string : COMPATIBLE[type];
  const isLong = isCompared && /text$/.test(there.type);
  if (pattern?.test(there.type) && !isLong) return undefined;
  return `is ${there.type}, and must be like ${nativeOf(column, [column]).replace(/ .*/, "")}`;
}

/** The digits of a decimal as MySQL has it: up to 65, of which 30 after the point. */
function nativeDecimal(native: string): { precision: number; scale: number } | undefined {
  const [, precision, scale] = /^decimal\((\d+),(\d+)\)$/.exec(native) ?? [];
  return precision === undefined
    ? undefined
    : { precision: Number(precision), scale: Number(scale) };
}

/** Whether a collation tells any two texts of a column apart; ASCII of a fixed length has no ends. */
function isExact(collation: string, type: string): boolean {
  return /^utf8mb4_(0900|nopad)_bin$/.test(collation) ||
    (/_bin$/.test(collation) && type === "char(36)");
}

/** Whether a foreign key can be made between columns of two types. */
export function canReference(child: string, parent: string): boolean {
  return child === parent && child !== "timestamp" && decimalParts(child) === undefined;
}

/** How many bytes the types of texts hold. */
const TEXT_BYTES: Readonly<Record<string, number>> = {
  tinytext: 255,
  text: 65_535,
  mediumtext: 16_777_215,
};

/**
 * Tells why a value cannot be held exactly, where the database would hold it otherwise without a
 * word: it cuts spaces off the end of texts that are too long, and rounds numbers.
 *
 * @param native the column's type
 * @param value a value that is not null
 */
export function misfitOf(native: string, value: Value): string | undefined {
  if (typeof value === "string") return textMisfit(native, value);
  if (native === "double" && typeof value === "bigint") {
    return BigInt(Number(value)) === value
      ? undefined
      : "is an integer that double cannot hold exactly";
  }
  return undefined;
}

function textMisfit(native: string, value: string): string | undefined {
  if (!value.isWellFormed()) return "holds half of a surrogate pair, which MySQL cannot hold";
  const characters = /^(?:var)?char\((\d+)\)/.exec(native)?.[1];
  if (characters !== undefined) {
    return value.length > Number(characters) && [...value].length > Number(characters)
      ? `is longer than the ${characters} characters that its column holds`
      : undefined;
  }
  const bytes = TEXT_BYTES[native];
  if (bytes !== undefined && new TextEncoder().encode(value).length > bytes) {
    return `is longer than the ${bytes} bytes that its column holds`;
  }
  const scale = nativeDecimal(native)?.scale;
  const digits = value.split(".")[1]?.replace(/0+$/, "").length ?? 0;
  return scale !== undefined && digits > scale
    ? `has more than the ${scale} digits after the point that MySQL holds`
    : undefined;
}

/**
 * Reads a value of a key.
 *
 * @param value what the driver gave
 * @param type the column's type in the schema
 */
export function keyValue(value: unknown, type: ColumnType): Value {
  if (type !== "integer") return String(value);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : fromPlainJson(String(value), "integer");
}
