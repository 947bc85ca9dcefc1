/**
 * Which addresses only their own machine reaches.
 *
 * @module
 */

/**
 * Tells whether an address can only be reached from its own machine.
 *
 * @param host an address or name
 */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host);
}
