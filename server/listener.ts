/**
 * Listens for as long as the server lives. The runtime ends a listener for ever when one connection
 * cannot be accepted, for instance because the process has no file descriptor left; then all
 * connections are closed, which frees theirs, and it listens again.
 *
 * @module
 */

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

/** Listens on one address. */
export class Listener {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  readonly #handler: ConnectionHandler;
  readonly #serve: Serve;
  #cut = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
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
   * Waits until the requests that are under way are answered, and ends. Those that come meanwhile
   * are for the handler to refuse: a listener that the runtime shuts down cannot be cut any more.
   */
  async shutdown(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    await Promise.race([Promise.all(this.#underWay), this.#finished]);
    await this.cut();
  }

  /** Ends now, and all connections with it. */
  async cut(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    this.#cut.abort();
    await this.#finished;
  }

  #answer(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ): Response | Promise<Response> {
    const ended = info.completed.then(() => {}, () => {}).then(() => {
      this.#underWay.delete(ended);
    });
    this.#underWay.add(ended);
    const { remoteAddr, completed } = info;
    const { hostname: ip } = remoteAddr;
    return this.#handler(request, { ip, peer: remoteAddr, signal: request.signal, completed });
  }

  #listen({ hostname, port }: ListenerAddress): Deno.NetAddr {
    const cut = new AbortController();
    const { signal } = cut;
    const server = this.#serve(
      { hostname, port, signal, onListen: () => {} },
      (request, info) => this.#answer(request, info),
    );
    this.#cut = cut;
    this.#finished = server.finished.catch((error) => {
      if (this.#closing) return;
      logger.error("No connection can be accepted, so all are closed: {error}", { error });
      cut.abort();
      this.#underWay.clear();
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
