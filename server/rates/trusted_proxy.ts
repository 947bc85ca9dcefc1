/**
 * Which address a request comes from where proxies stand before the server. Each proxy appends to
 * `X-Forwarded-For` the address that it was asked by, so the header is read from its end, and only
 * as far as proxies are trusted; what is before that anybody could have written.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { isIn, type Network, parseAddress, parseNetwork } from "./address.ts";

const logger = getLogger(["lakesync", "rates"]);

/** Which proxies are trusted: so many of them, or those in these networks. */
export type TrustedProxies =
  | { readonly hops: number }
  | { readonly networks: readonly Network[] };

/** No proxy is trusted. */
export const NO_PROXIES: TrustedProxies = { hops: 0 };

const MAX_HOPS = 32;

/**
 * Reads which proxies are trusted.
 *
 * @param text a number of proxies, or addresses and networks with commas between
 * @returns undefined for what is neither
 *
 * @example
 * ```ts
 * import { parseTrustedProxies } from "@lakesync/server";
 *
 * const proxies = parseTrustedProxies("10.0.0.0/8, fd00::/8");
 * console.assert(proxies !== undefined && "networks" in proxies);
 * console.assert(parseTrustedProxies("proxy.example") === undefined);
 * ```
 */
export function parseTrustedProxies(text: string): TrustedProxies | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const hops = Number(text);
    return hops <= MAX_HOPS ? { hops } : undefined;
  }
  const networks = text.split(",").map((part) => parseNetwork(part.trim()));
  const known = networks.filter((network) => network !== undefined);
  return known.length === networks.length ? { networks: known } : undefined;
}

/** An entry without the port that some proxies add. */
function withoutPort(entry: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(entry)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^[\d.]+:\d+$/.test(entry) ? entry.slice(0, entry.indexOf(":")) : entry;
}

/**
 * Finds the address that a request comes from.
 *
 * @param trusted which proxies are trusted
 * @param peer the address that the connection comes from
 * @param headers the request's headers
 * @returns the address; the last one that is known where the header ends or is damaged before
 */
export function clientAddress(trusted: TrustedProxies, peer: string, headers: Headers): string {
  if ("hops" in trusted && trusted.hops === 0) return peer;
  const forwarded = headers.get("X-Forwarded-For");
  if (forwarded === null) return peer;
  const entries = forwarded.split(",").slice(-MAX_HOPS);
  let address = peer;
  for (let hop = 1; isTrusted(trusted, address, hop); hop++) {
    const before = withoutPort(entries.pop()?.trim() ?? "");
    if (parseAddress(before) === undefined) break;
    address = before;
  }
  return address;
}

function isTrusted(trusted: TrustedProxies, address: string, hop: number): boolean {
  if ("hops" in trusted) return hop <= trusted.hops;
  const number = parseAddress(address);
  return number !== undefined && trusted.networks.some((network) => isIn(number, network));
}

/**
 * Makes what finds the address of each request, and says once when there seems to be a proxy that
 * is not trusted: all its callers then count as one address.
 *
 * @param trusted which proxies are trusted
 */
export function addressReader(
  trusted: TrustedProxies,
): (peer: string, headers: Headers) => string {
  let isQuiet = !("hops" in trusted) || trusted.hops > 0;
  return (peer, headers) => {
    if (!isQuiet && headers.has("X-Forwarded-For")) {
      isQuiet = true;
      logger.warning(
        "Requests come with X-Forwarded-For, but no proxy is trusted, so all that one forwards " +
          "counts as of one address; name it with --trust-proxy",
      );
    }
    return clientAddress(trusted, peer, headers);
  };
}
