/**
 * Decimal numbers as whole numbers of their last digit, in 128 bits.
 *
 * @module
 */

const DECIMAL = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?$/;

/**
 * Reads a decimal text exactly.
 *
 * @param text like `-12.50`
 * @param precision how many digits there may be
 * @param scale how many of them are behind the point
 * @returns the number of units of the last digit, or undefined when it does not fit
 */
export function parseDecimal(text: string, precision: number, scale: number): bigint | undefined {
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = ""] = match;
  const kept = fraction.length > scale ? fraction.slice(0, scale) : fraction.padEnd(scale, "0");
  if (fraction.length > scale && /[1-9]/.test(fraction.slice(scale))) return undefined;
  if (whole !== "0" && whole.length > precision - scale) return undefined;
  const units = BigInt(whole + kept);
  return sign === "-" ? -units : units;
}

/**
 * Writes a decimal with all digits of its scale.
 *
 * @param units the number of units of the last digit
 * @param scale how many digits are behind the point
 * @returns like `-12.50`
 */
export function printDecimal(units: bigint, scale: number): string {
  const sign = units < 0n ? "-" : "";
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  if (scale === 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** The low half of 128 bits, as it is kept. */
export function lowHalf(units: bigint): bigint {
  return BigInt.asIntN(64, units);
}

/** The high half of 128 bits, as it is kept. */
export function highHalf(units: bigint): bigint {
  return BigInt.asIntN(64, units >> 64n);
}

/** The number whose halves are kept. */
export function ofHalves(low: bigint, high: bigint): bigint {
  return (high << 64n) | BigInt.asUintN(64, low);
}
