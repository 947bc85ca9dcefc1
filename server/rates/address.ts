/**
 * Internet addresses as numbers: compared, put in networks, and brought to the key that a rate is
 * kept by. An IPv4 address is the IPv6 one that stands for it (`::ffff:a.b.c.d`).
 *
 * Source: RFC 4291 for the text of IPv6 addresses, RFC 4632 for networks.
 *
 * @module
 */

const V4_PREFIX = 0xffffn << 32n;
const V4_BITS = 32;
const V6_BITS = 128;
/** What one subscriber usually has to choose addresses from. */
const SUBSCRIBER_BITS = 64n;

/** A network: all addresses that begin alike. */
export interface Network {
  /** Its first address. */
  readonly first: bigint;
  /** How many bits at the end vary. */
  readonly hostBits: bigint;
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let address = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    address = address << 8n | BigInt(part);
  }
  return address;
}

/** The groups on one side of `::`; the last may be an IPv4 address. */
function parseGroups(text: string): readonly bigint[] | undefined {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".") && index === parts.length - 1) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >> 16n, v4 & 0xffffn);
    } else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return groups;
}

/**
 * Reads an address.
 *
 * @param text such as `192.0.2.1` or `2001:db8::1`, perhaps with a zone (`%eth0`)
 * @returns its number; undefined for what is no address
 */
export function parseAddress(text: string): bigint | undefined {
  if (!text.includes(":")) {
    const v4 = parseV4(text);
    return v4 === undefined ? undefined : V4_PREFIX | v4;
  }
  const [address = ""] = text.split("%", 1);
  const sides = address.split("::");
  if (sides.length > 2) return undefined;
  const [left = [], right = []] = sides.map(parseGroups);
  if (sides.some((side) => parseGroups(side) === undefined)) return undefined;
  const missing = 8 - left.length - right.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const zeros = Array.from({ length: missing }, () => 0n);
  return [...left, ...zeros, ...right].reduce((number, group) => number << 16n | group, 0n);
}

/**
 * Reads a network.
 *
 * @param text an address, or one with the number of bits it has in common: `10.0.0.0/8`
 * @returns undefined for what is none
 */
export function parseNetwork(text: string): Network | undefined {
  const [name = "", bitsText, ...others] = text.split("/");
  const address = parseAddress(name);
  const all = name.includes(":") ? V6_BITS : V4_BITS;
  const bits = bitsText === undefined ? all : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : NaN;
  if (address === undefined || others.length > 0 || !(bits <= all)) return undefined;
  const hostBits = BigInt(all - bits);
  return { first: address >> hostBits << hostBits, hostBits };
}

/** Whether an address is in a network. */
export function isIn(address: bigint, { first, hostBits }: Network): boolean {
  return address >> hostBits === first >> hostBits;
}

/**
 * The key that the rate of an address is kept by: an IPv4 address itself, of IPv6 the network of 64
 * bits, since whoever has one address has all of it.
 *
 * @param text the address
 * @returns the key; what is no address is one by itself
 */
export function rateKey(text: string): string {
  if (!text.includes(":")) return text;
  const address = parseAddress(text);
  if (address === undefined) return text;
  if (address >> 32n !== 0xffffn) return `${(address >> SUBSCRIBER_BITS).toString(16)}::/64`;
  return [24n, 16n, 8n, 0n].map((shift) => address >> shift & 0xffn).join(".");
}
