/**
 * All live connections of a server: the WebSocket handshake, counting, draining.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { offeredProtocols } from "../auth/authorize.ts";
import type { LiveConnections, ServerContext } from "../http/context.ts";
import { admit, findGateway } from "../http/guard.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { CODECS, type FrameData } from "./codec.ts";
import { SendBudget, type Sender } from "./send_budget.ts";
import { Session } from "./session.ts";

/** Connections of one server. */
const MAX_CONNECTIONS = 1_000;
/** Connections of one user to one server. */
const MAX_USER_CONNECTIONS = 100;
/** What may wait in a socket that is not read, in bodies of the largest size. */
const MAX_BUFFERED_BODIES = 2;
/** A peer that answers no WebSocket ping for so long is gone. */
const IDLE_TIMEOUT_SECONDS = 60;

/** What the handshake needs of the server. */
export interface HubContext extends Omit<ServerContext, "live"> {
  /** Turns a request into a socket, in place of the runtime's own way. */
  readonly upgrade?: (request: Request, protocol: string) => Deno.WebSocketUpgrade;
}

interface Connection {
  readonly session: Session;
  readonly gatewayId: string;
  readonly sub: string;
  readonly sender: Sender;
  readonly closed: Promise<void>;
}

/** How many connections there may be. */
export interface HubLimits {
  /** Of all users. */
  readonly connections: number;
  /** Of one user. */
  readonly userConnections: number;
}

const DEFAULT_HUB_LIMITS: HubLimits = {
  connections: MAX_CONNECTIONS,
  userConnections: MAX_USER_CONNECTIONS,
};

/** The live connections of a server. */
export class LiveHub implements LiveConnections {
  readonly #context: HubContext;
  readonly #connections = new Set<Connection>();
  readonly #counts = new Map<string, number>();
  readonly #userCounts = new Map<string, number>();
  readonly #limits: HubLimits;
  readonly #budget = new SendBudget({
    now: Date.now,
    setTimer: (ms, callback) => void setTimeout(callback, ms),
  });

  constructor(context: HubContext, limits: HubLimits = DEFAULT_HUB_LIMITS) {
    this.#context = context;
    this.#limits = limits;
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
    scope: RequestScope,
    id: string,
  ): Promise<Response> {
    const { request, id: requestId } = scope;
    const context: ServerContext = { ...this.#context, live: this };
    const { gatewayId, token } = await admit(
      context,
      scope,
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
    this.#checkRoom(token.sub);
    const { socket, response } = (this.#context.upgrade ?? upgrade)(request, protocol);
    socket.binaryType = "arraybuffer";
    const maxBuffered = MAX_BUFFERED_BODIES * gateway.limits.maxBodyBytes;
    const sender: Sender = {
      user: token.sub,
      buffered: () => socket.bufferedAmount,
      overflow: () => session.overflow(),
    };
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
      turn: () => this.#budget.turn(sender),
      send: (data) => {
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(typeof data === "string" ? data : new Uint8Array(data));
        this.#budget.sent(sender);
        if (socket.bufferedAmount > maxBuffered) session.overflow();
      },
      close: (code, reason) => socket.close(code, reason),
    });
    this.#add({ session, gatewayId, sub: token.sub, sender }, socket);
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

  #checkRoom(sub: string): void {
    const { connections, userConnections } = this.#limits;
    if ((this.#userCounts.get(sub) ?? 0) >= userConnections) {
      throw new LakeSyncError(
        "RATE_LIMITED",
        `A user has at most ${userConnections} live connections, close some`,
        { retryAfterSeconds: 5 },
      );
    }
    if (this.#connections.size >= connections) {
      throw new LakeSyncError(
        "BACKPRESSURE",
        "There are too many connections, try again",
        { retryAfterSeconds: 5 },
      );
    }
  }

  #add(accepted: Omit<Connection, "closed">, socket: WebSocket): void {
    const { session, gatewayId, sub, sender } = accepted;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const connection = { ...accepted, closed };
    this.#connections.add(connection);
    count(this.#counts, gatewayId, 1);
    count(this.#userCounts, sub, 1);
    socket.onmessage = ({ data }) => session.receive(frameData(data));
    socket.onerror = () => {};
    socket.onclose = () => {
      session.ended();
      resolve();
      if (!this.#connections.delete(connection)) return;
      this.#budget.left(sender);
      count(this.#counts, gatewayId, -1);
      count(this.#userCounts, sub, -1);
    };
  }
}

function count(counts: Map<string, number>, name: string, more: number): void {
  const now = (counts.get(name) ?? 0) + more;
  if (now > 0) counts.set(name, now);
  else counts.delete(name);
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
