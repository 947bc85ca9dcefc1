/**
 * Everything that is not deterministic reaches the sync loop through here, so that one seed can
 * replay a whole run.
 *
 * @module
 */

/** A socket as the transport uses it: the part of the web's WebSocket that is needed. */
export type SocketFactory = (url: string, protocols: string[]) => WebSocket;

/** What the sync loop needs of the world. */
export interface ClientEnvironment {
  /** The device's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
  /** Sends HTTP requests. */
  readonly fetch: typeof fetch;
  /** Opens sockets; undefined where there are none, then HTTP alone is used. */
  readonly openSocket: SocketFactory | undefined;
}

/**
 * The environment of the runtime.
 *
 * @returns clock, randomness, timers, fetch and sockets of this runtime
 */
export function runtimeEnvironment(): ClientEnvironment {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    setTimer: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    fetch: (input, init) => fetch(input, init),
    openSocket: typeof WebSocket === "undefined"
      ? undefined
      : (url, protocols) => new WebSocket(url, protocols),
  };
}
