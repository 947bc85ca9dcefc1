/**
 * Ports for servers that tests start, and that start again at the same one.
 *
 * @module
 */

/**
 * Ports that outgoing connections get: a client that connects to one of them while nobody listens
 * there may connect to itself, and then nobody can listen there any more.
 */
const FIRST_OUTGOING_PORT = 32_768;
const FIRST_PORT = 20_000;

/** Finds a port of 127.0.0.1 that is free and that no outgoing connection takes. */
export function freePort(): number {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (FIRST_OUTGOING_PORT - FIRST_PORT));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("No port is free");
}
