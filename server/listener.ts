/**
 * Listens for as long as the server lives. The runtime ends a listener for ever when one connection
 * cannot be accepted, for instance because the process has no file descriptor left; then all
 * connections are closed, which frees theirs, and it listens again.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { RequestOrigin } from "./http/lifecycle.ts";

const logger = getLogger(["lakesync", "server"]);

/** The time between a failure and listening again, in milliseconds. */
const AGAIN_MS = 250;

/** How the runtime is asked to listen. */
export type Serve = (
  options: Deno.ServeTcpOptions & { readonly signal: AbortSignal },
  handler: Deno.ServeHandler<Deno.NetAddr>,
) => Deno.HttpServer<Deno.NetAddr>;

/** Answers requests, told where each comes from. */
export type ConnectionHandler = (
  request: Request,
  origin: RequestOrigin,
) => Response | Promise<Response>;

/** Where to listen. */
export interface ListenerAddress {
  /** The address. */
  readonly hostname: string;
  /** The port, 0 for any, which later tries keep. */
  readonly port: number;
}

/** What the runtime is to answer after an error that no handler has made an answer of. */
function failed(error: unknown): Response {
  // A stream that was given up is no failure of ours.
  if (!(error instanceof LakeSyncError)) logger.error("An answer failed: {error}", { error });
  return new Response(null, { status: 500 });
}

/** Listens on one address. */
export class Listener {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  readonly #handler: ConnectionHandler;
  readonly #serve: Serve;
  #cut = new AbortController();
  #finished: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closing = false;

  /**
   * Begins to listen.
   *
   * @param address where
   * @param handler answers
   * @param serve listens, in place of the runtime's
   * @throws {Deno.errors.AddrInUse} when the port is taken
   */
  constructor(
    address: ListenerAddress,
    handler: ConnectionHandler,
    serve: Serve = Deno.serve,
  ) {
    this.#handler = handler;
    this.#serve = serve;
    this.addr = this.#listen(address);
  }

  /**
   * Ends now, and all connections with it, also those whose answers have not left. The runtime's own
   * way to wait for these is none: it waits for readers that stall as well, and cannot be cut then.
   */
  async cut(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#timer);
    this.#cut.abort();
    await this.#finished;
  }

  #answer(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ): Response | Promise<Response> {
    const { remoteAddr: peer, completed } = info;
    return this.#handler(request, { ip: peer.hostname, peer, signal: request.signal, completed });
  }

  #listen({ hostname, port }: ListenerAddress): Deno.NetAddr {
    const cut = new AbortController();
    const { signal } = cut;
    const server = this.#serve(
      { hostname, port, signal, onListen: () => {}, onError: failed },
      (request, info) => this.#answer(request, info),
    );
    this.#cut = cut;
    this.#finished = server.finished.catch((error) => {
      if (this.#closing) return;
      logger.error("No connection can be accepted, so all are closed: {error}", { error });
      cut.abort();
      this.#listenLater({ hostname, port: server.addr.port });
    });
    return server.addr;
  }

  #listenLater(address: ListenerAddress): void {
    this.#timer = setTimeout(() => {
      try {
        this.#listen(address);
        logger.info("It listens again");
      } catch (error) {
        logger.error("Listening again failed: {error}", { error });
        this.#listenLater(address);
      }
    }, AGAIN_MS);
  }
}
