/**
 * Values as bytes: bounds of columns and of partitions.
 * Source: Iceberg table specification, "Appendix D: Single-value serialization".
 *
 * @module
 */

/**
 * A value of a column: `number` for `int`, `date` (days since 1970), `float` and `double`, `bigint`
 * for `long`, `timestamptz` (microseconds since 1970) and `decimal` (the unscaled number).
 */
export type SingleValue = boolean | number | bigint | string | Uint8Array;

const DECIMAL = /^decimal\((\d+),\s*(\d+)\)$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The digits of a decimal type; undefined when it is another type.
 *
 * @param type the type's name
 */
export function decimalDigits(
  type: string,
): { readonly precision: number; readonly scale: number } | undefined {
  const match = DECIMAL.exec(type);
  return match === null ? undefined : { precision: Number(match[1]), scale: Number(match[2]) };
}

/**
 * The bytes of a number in two's complement, the highest first.
 *
 * @param value the number
 * @param length how many bytes; as few as can be when not given
 */
export function bigEndian(value: bigint, length?: number): Uint8Array {
  let bytes = length ?? 1;
  if (length === undefined) { while (BigInt.asIntN(bytes * 8, value) !== value) bytes++; }
  const out = new Uint8Array(bytes);
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest >>= 8n) out[i] = Number(rest & 0xffn);
  return out;
}

/**
 * The number that bytes are in two's complement, the highest first.
 *
 * @param bytes the bytes
 */
export function fromBigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = value << 8n | BigInt(byte);
  return BigInt.asIntN(bytes.length * 8, value);
}

function fixed(bytes: number, write: (view: DataView) => void): Uint8Array {
  const out = new Uint8Array(bytes);
  write(new DataView(out.buffer));
  return out;
}

function wrong(type: string): TypeError {
  return new TypeError(`This is no value of type ${type}`);
}

function encodeNumber(type: string, value: number): Uint8Array {
  switch (type) {
    case "int":
    case "date":
      return fixed(4, (view) => view.setInt32(0, value, true));
    case "float":
      return fixed(4, (view) => view.setFloat32(0, value, true));
    case "double":
      return fixed(8, (view) => view.setFloat64(0, value, true));
    default:
      throw wrong(type);
  }
}

function encodeBigint(type: string, value: bigint): Uint8Array {
  if (decimalDigits(type) !== undefined) return bigEndian(value);
  if (!isLongType(type)) throw wrong(type);
  return fixed(8, (view) => view.setBigInt64(0, value, true));
}

/** Whether values of a type are 64 bits. */
export function isLongType(type: string): boolean {
  return type === "long" || type === "time" || type === "timestamp" || type === "timestamptz";
}

/**
 * Makes bytes of a value.
 *
 * @param type the type's name
 * @param value the value
 * @throws {TypeError} when it is no value of the type
 */
export function encodeValue(type: string, value: SingleValue): Uint8Array {
  switch (typeof value) {
    case "boolean":
      if (type !== "boolean") throw wrong(type);
      return Uint8Array.of(value ? 1 : 0);
    case "number":
      return encodeNumber(type, value);
    case "bigint":
      return encodeBigint(type, value);
    case "string":
      if (type !== "string") throw wrong(type);
      return encoder.encode(value);
    default:
      return value;
  }
}

/**
 * Reads a value of its bytes. One that was written before its column was widened is read as what
 * the column is now.
 *
 * @param type the type's name
 * @param bytes the bytes
 * @throws {TypeError} when they are no value of the type
 */
export function decodeValue(type: string, bytes: Uint8Array): SingleValue {
  if (decimalDigits(type) !== undefined) return fromBigEndian(bytes);
  if (type === "string") return decoder.decode(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (isLongType(type)) {
      return bytes.length === 4 ? BigInt(view.getInt32(0, true)) : view.getBigInt64(0, true);
    }
    switch (type) {
      case "boolean":
        return view.getUint8(0) !== 0;
      case "int":
      case "date":
        return view.getInt32(0, true);
      case "float":
        return view.getFloat32(0, true);
      case "double":
        return bytes.length === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
      default:
        return bytes;
    }
  } catch (error) {
    if (error instanceof RangeError) throw wrong(type);
    throw error;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Compares two values of one type as Iceberg orders them: texts by their bytes in UTF-8.
 *
 * @returns below 0, 0 or above 0
 */
export function compareValues(a: SingleValue, b: SingleValue): number {
  if (typeof a === "object" && typeof b === "object") return compareBytes(a, b);
  if (typeof a === "string" && typeof b === "string") {
    return a === b ? 0 : compareBytes(encoder.encode(a), encoder.encode(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}
