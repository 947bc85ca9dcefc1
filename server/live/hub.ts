/**
 * All live connections of a server: the WebSocket handshake, counting, draining.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { offeredProtocols } from "../auth/authorize.ts";
import type { LiveConnections, ServerContext } from "../http/context.ts";
import { admit, findGateway } from "../http/guard.ts";
import { CODECS, type FrameData } from "./codec.ts";
import { Session } from "./session.ts";

/** Connections of one server. */
const MAX_CONNECTIONS = 10_000;
/** What may wait in a socket that is not read, in bodies of the largest size. */
const MAX_BUFFERED_BODIES = 2;
/** A peer that answers no WebSocket ping for so long is gone. */
const IDLE_TIMEOUT_SECONDS = 60;

/** What the handshake needs of the server. */
export type HubContext = Omit<ServerContext, "live">;

interface Connection {
  readonly session: Session;
  readonly gatewayId: string;
  readonly closed: Promise<void>;
}

/** The live connections of a server. */
export class LiveHub implements LiveConnections {
  readonly #context: HubContext;
  readonly #connections = new Set<Connection>();
  readonly #counts = new Map<string, number>();

  constructor(context: HubContext) {
    this.#context = context;
  }

  /** How many connections there are to a gateway. */
  count(gatewayId: string): number {
    return this.#counts.get(gatewayId) ?? 0;
  }

  /**
   * Turns a request into a live connection.
   *
   * @throws {LakeSyncError} what refuses the handshake by its HTTP status
   */
  async accept(
    request: Request,
    id: string,
    requestId: string,
  ): Promise<Response> {
    const context: ServerContext = { ...this.#context, live: this };
    const { gatewayId, token } = await admit(
      context,
      request,
      id,
      "client",
      true,
    );
    const gateway = await findGateway(context, gatewayId);
    const protocol = offeredProtocols(request.headers)
      .find((name) => CODECS.has(name));
    const codec = CODECS.get(protocol ?? "");
    if (
      request.headers.get("Upgrade")?.toLowerCase() !== "websocket" ||
      protocol === undefined || codec === undefined
    ) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        `Connect here with a WebSocket that offers ${[...CODECS.keys()].join(" or ")}`,
      );
    }
    if (this.#connections.size >= MAX_CONNECTIONS) {
      throw new LakeSyncError(
        "BACKPRESSURE",
        "There are too many connections, try again",
        { retryAfterSeconds: 5 },
      );
    }
    const { socket, response } = upgrade(request, protocol);
    socket.binaryType = "arraybuffer";
    const maxBuffered = MAX_BUFFERED_BODIES * gateway.limits.maxBodyBytes;
    const session = new Session({
      gateway,
      token,
      codec,
      requestId,
      verify: (jwt) => this.#context.authenticator.verify(jwt),
      now: Date.now,
      setTimer: (ms, callback) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
      send: (data) => {
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(typeof data === "string" ? data : new Uint8Array(data));
        if (socket.bufferedAmount > maxBuffered) session.overflow();
      },
      close: (code, reason) => socket.close(code, reason),
    });
    this.#add(session, gatewayId, socket);
    return response;
  }

  /**
   * Tells all clients that the server stops and closes their connections.
   *
   * @param timeoutMs how long clients may take to answer the close
   */
  async drain(timeoutMs: number): Promise<void> {
    const connections = [...this.#connections];
    const closed = connections.map(async (connection) => {
      await connection.session.drain();
      await connection.closed;
    });
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([Promise.all(closed), timeout]);
    clearTimeout(timer);
  }

  #add(session: Session, gatewayId: string, socket: WebSocket): void {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const connection = { session, gatewayId, closed };
    this.#connections.add(connection);
    this.#counts.set(gatewayId, this.count(gatewayId) + 1);
    socket.onmessage = ({ data }) => session.receive(frameData(data));
    socket.onerror = () => {};
    socket.onclose = () => {
      session.ended();
      resolve();
      if (!this.#connections.delete(connection)) return;
      const left = this.count(gatewayId) - 1;
      if (left > 0) this.#counts.set(gatewayId, left);
      else this.#counts.delete(gatewayId);
    };
  }
}

function frameData(data: unknown): FrameData {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : String(data);
}

function upgrade(request: Request, protocol: string): Deno.WebSocketUpgrade {
  try {
    return Deno.upgradeWebSocket(request, {
      protocol,
      idleTimeout: IDLE_TIMEOUT_SECONDS,
    });
  } catch (cause) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The WebSocket handshake is not complete",
      {},
      { cause },
    );
  }
}
