/**
 * Bits, packed eight to a byte, the lowest first, as Arrow packs them.
 *
 * @module
 */

/** How many bytes so many bits need. */
export function bytesOfBits(count: number): number {
  return (count + 7) >> 3;
}

/** Whether a bit is set. */
export function hasBit(bits: Uint8Array, index: number): boolean {
  return ((bits[index >> 3] ?? 0) >> (index & 7) & 1) === 1;
}

/** Sets a bit. */
export function setBit(bits: Uint8Array, index: number): void {
  const byte = index >> 3;
  bits[byte] = (bits[byte] ?? 0) | (1 << (index & 7));
}

/** Clears a bit. */
export function clearBit(bits: Uint8Array, index: number): void {
  const byte = index >> 3;
  bits[byte] = (bits[byte] ?? 0) & ~(1 << (index & 7));
}

/** So many bits, all set, and none behind them. */
export function allSet(count: number): Uint8Array {
  const bits = new Uint8Array(bytesOfBits(count)).fill(0xff);
  clearBehind(bits, count);
  return bits;
}

/** Clears the bits of the last byte that are behind the count. */
export function clearBehind(bits: Uint8Array, count: number): void {
  const last = count >> 3;
  if (last < bits.length) bits[last] = (bits[last] ?? 0) & ((1 << (count & 7)) - 1);
}

/**
 * Copies bits.
 *
 * @param from where they are
 * @param start the first of them
 * @param count how many
 * @param to where they go; all bits there that are written were zero
 * @param at where the first goes
 */
export function copyBits(
  from: Uint8Array,
  start: number,
  count: number,
  to: Uint8Array,
  at: number,
): void {
  if ((start & 7) === 0 && (at & 7) === 0) {
    const whole = count >> 3;
    to.set(from.subarray(start >> 3, (start >> 3) + whole), at >> 3);
    for (let i = whole << 3; i < count; i++) if (hasBit(from, start + i)) setBit(to, at + i);
    return;
  }
  for (let i = 0; i < count; i++) if (hasBit(from, start + i)) setBit(to, at + i);
}
