/**
 * All live connections of a server: the WebSocket handshake, places, and their end. A place is free
 * as soon as a connection is told to end, whatever its peer does; what is left of it then is ended
 * by `connection.ts`.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import { offeredProtocols } from "../auth/authorize.ts";
import type { VerifiedToken } from "../auth/token.ts";
import type { LiveConnections, ServerContext } from "../http/context.ts";
import { admit, admitAgain, findGateway, refuseWhenDraining } from "../http/guard.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { pagesWithin } from "../page_turns.ts";
import { CODECS } from "./codec.ts";
import { Connection } from "./connection.ts";
import { PeerWatch } from "./peer_watch.ts";
import { Places } from "./places.ts";
import { SendBudget } from "./send_budget.ts";
import { Session } from "./session.ts";

const logger = getLogger(["lakesync", "live"]);

/** Bytes that may wait in a socket before another frame for it ends it. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;

/** What the handshake needs of the server. */
export interface HubContext extends Omit<ServerContext, "live"> {
  /** Turns a request into a socket, in place of the runtime's own way. */
  readonly upgrade?: (request: Request, protocol: string) => Deno.WebSocketUpgrade;
}

/** A live connection, as far as others choose among them. */
export interface LiveClient {
  /** The gateway it is connected to. */
  readonly gatewayId: string;
  /** The user. */
  readonly sub: string;
  /** The client that said hello; empty before. */
  readonly clientId: string;
  /** What it is let in by at the moment. */
  readonly token: VerifiedToken;
}

/** How connections ended when the server stopped. */
export interface DrainCounts {
  /** Their peers have answered the close. */
  readonly closed: number;
  /** They were ended without. */
  readonly cut: number;
}

interface Live {
  readonly gatewayId: string;
  readonly session: Session;
  readonly connection: Connection;
}

/** The live connections of a server. */
export class LiveHub implements LiveConnections {
  readonly #context: HubContext;
  /** Those that have not been told to end. */
  readonly #live = new Set<Live>();
  readonly #places: Places;
  readonly #peers: PeerWatch;
  readonly #budget: SendBudget;
  #isDraining = false;

  /** @param context what it stands on; its limits say how many connections there may be */
  constructor(context: HubContext) {
    const { limits, upgrade } = context;
    this.#context = context;
    this.#places = new Places(limits);
    // Sockets that are not the runtime's have no peers in the network.
    this.#peers = new PeerWatch({
      idleTimeoutMs: limits.idleTimeoutMs,
      isOff: upgrade !== undefined,
      hasFront: context.http?.isTls === true,
    });
    this.#budget = new SendBudget({
      now: Date.now,
      setTimer: (ms, callback) => void setTimeout(callback, ms),
      isHeld: (pages) => {
        const { pressure } = context;
        return pressure !== undefined &&
          (pressure.isHigh || pages >= pagesWithin(pressure.freeBytes));
      },
    });
  }

  /** How many connections there are to a gateway. */
  count(gatewayId: string): number {
    return this.#places.count(gatewayId);
  }

  /** How many connections there are, and how many were told to end and are not gone. */
  get counts(): { readonly open: number; readonly closing: number } {
    return this.#places.counts;
  }

  /**
   * Turns a request into a live connection.
   *
   * @throws {LakeSyncError} what refuses the handshake by its HTTP status
   */
  async accept(scope: RequestScope, id: string): Promise<Response> {
    const { request } = scope;
    const context: ServerContext = { ...this.#context, live: this };
    const { gatewayId, token } = await admit(context, scope, id, true);
    const gateway = await findGateway(context, gatewayId);
    const protocol = offeredProtocols(request.headers).find((name) => CODECS.has(name));
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
    refuseWhenDraining(context);
    await admitAgain(context, scope);
    this.#places.check(token.sub);
    const { limits, pressure, access, authenticator } = this.#context;
    const upgrade = this.#context.upgrade ??
      ((request, protocol) => upgradeSocket(request, protocol, limits.idleTimeoutMs));
    const { socket, response } = upgrade(request, protocol);
    const { peer } = scope;
    const { sub } = token;
    const free = this.#places.take(gatewayId, sub);
    const watch = this.#context.liveObserver?.opened({ requestId: scope.id, gatewayId });
    let closeCode: number | undefined;
    let isSlow = false;
    let received = 0;
    let sent = 0;
    const connection: Connection = new Connection({
      socket,
      user: sub,
      maxBufferedBytes: MAX_BUFFERED_BYTES,
      now: Date.now,
      receive: (data) => {
        received++;
        session.receive(data);
      },
      owesAck: () => session.owesAck,
      overflow: () => {
        isSlow = true;
        session.overflow();
      },
      reset: () => this.#peers.reset(peer),
      freed: () => {
        this.#live.delete(live);
        session.ended();
        free.place();
        const { clientId } = session;
        watch?.closed({ clientId, code: closeCode, isSlow, received, sent });
      },
      gone: () => {
        this.#peers.remove(connection);
        this.#budget.left(connection);
        free.rest();
      },
    });
    const session: Session = new Session({
      gateway,
      token,
      codec,
      requestId: scope.id,
      maxMessagesPerSecond: limits.maxMessagesPerSecond,
      checkPressure: pressure === undefined ? undefined : () => pressure.check(),
      checkClient: access === undefined
        ? undefined
        : (clientId) => access.checkClient(gatewayId, clientId),
      verify: async (jwt) => {
        const next = await authenticator.verify(jwt);
        await access?.checkUser({ gatewayId }, next);
        return next;
      },
      now: Date.now,
      setTimer: (ms, callback) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
      turn: () => this.#budget.turn(connection),
      send: (data) => {
        if (!connection.send(data)) return;
        sent++;
        this.#budget.sent(connection);
      },
      told: (code) => watch?.refused(code),
      close: (code, reason, atOnce) => {
        closeCode = code;
        connection.end(code, reason, atOnce);
      },
    });
    const live: Live = { gatewayId, session, connection };
    this.#live.add(live);
    this.#peers.add(connection, peer);
    if (this.#isDraining) void this.#drainOne(live);
    return response;
  }

  /**
   * Ends connections, each with an `error` frame and the close code that goes with it: 4401 after
   * `AUTH_ERROR`, 4403 after `FORBIDDEN`. Their places are free when this returns.
   *
   * @param which chooses them
   * @param error why
   * @returns how many they were
   */
  endWhere(which: (client: LiveClient) => boolean, error: LakeSyncError): number {
    let ended = 0;
    for (const { gatewayId, session } of [...this.#live]) {
      const { token, clientId } = session;
      if (!which({ gatewayId, sub: token.sub, clientId, token })) continue;
      session.end(error);
      ended++;
    }
    return ended;
  }

  /**
   * Tells all clients that the server stops and closes their connections; those that come from now
   * on likewise.
   *
   * @param timeoutMs how long clients may take to answer the close; then they are cut
   * @returns how they ended
   */
  async drain(timeoutMs: number): Promise<DrainCounts> {
    this.#isDraining = true;
    const live = [...this.#live];
    let closed = 0;
    const ends = live.map(async (one) => {
      await this.#drainOne(one);
      if (await one.connection.closed) closed++;
    });
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([Promise.all(ends), timeout]);
    clearTimeout(timer);
    const counts = { closed, cut: live.length - closed };
    for (const { connection } of live) connection.reset();
    this.#peers.forget();
    if (counts.cut > 0) logger.warning("{cut} live connections were cut, {closed} closed", counts);
    return counts;
  }

  async #drainOne({ session, connection }: Live): Promise<void> {
    await connection.opened();
    await session.drain();
  }
}

function upgradeSocket(
  request: Request,
  protocol: string,
  idleTimeoutMs: number,
): Deno.WebSocketUpgrade {
  try {
    const idleTimeout = Math.max(1, Math.round(idleTimeoutMs / 1000));
    return Deno.upgradeWebSocket(request, { protocol, idleTimeout });
  } catch (cause) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The WebSocket handshake is not complete",
      {},
      { cause },
    );
  }
}
