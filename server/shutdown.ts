/**
 * Takes a server down in order, each step in a bounded time: what is under way ends, destinations
 * get what they lack, and what keeps data is closed. While that lasts the listener goes on, so that
 * whoever comes is told that the server stops (docs/adr/0018-operations.md).
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Destinations } from "./destinations/destinations.ts";
import type { RequestLifecycle } from "./http/lifecycle.ts";
import type { Listener } from "./listener.ts";
import type { DrainCounts, LiveHub } from "./live/hub.ts";
import { within } from "./within.ts";

const logger = getLogger(["lakesync", "server"]);

/** The share of the drain in which live clients are to be gone, so that a last flush has some too. */
const SOCKETS_SHARE = 0.8;
/** How long the last flush may take, in milliseconds; no longer than what is left of the drain. */
const LAST_FLUSH_TIMEOUT_MS = 5_000;
/** What the last flush has at least, in milliseconds. */
const LEAST_FLUSH_MS = 1_000;
/** How long refusals that are on their way may take to leave, in milliseconds. */
const LEAVE_TIMEOUT_MS = 500;
/** How long destinations may take to let go of their connections, in milliseconds. */
const DESTINATIONS_TIMEOUT_MS = 2_000;
/** How long closing the rest may take, in milliseconds. */
const CLOSE_TIMEOUT_MS = 5_000;

/** What is taken down. */
export interface ShutdownOptions {
  /** How long what is under way may take, in milliseconds. */
  readonly drainTimeoutMs: number;
  /** The requests. */
  readonly requests: Pick<RequestLifecycle, "underWay">;
  /** The live connections. */
  readonly live: Pick<LiveHub, "drain">;
  /** What takes connections. */
  readonly listener: Pick<Listener, "cut">;
  /** Where changes are flushed to. */
  readonly destinations: Pick<Destinations, "flushAll" | "all" | "close">;
  /** Closes the rest, that which keeps data at the end. */
  readonly close: () => Promise<void>;
}

/** How a server went down. */
export interface ShutdownReport {
  /** Whether requests and live connections ended in time, by themselves. */
  readonly isDrained: boolean;
  /** Whether the stores are closed. */
  readonly isClosed: boolean;
  /** Requests that were under way. */
  readonly requests: number;
  /** Those of them that were cut. */
  readonly requestsCut: number;
  /** Live connections that were closed in order. */
  readonly socketsClosed: number;
  /** Live connections that were cut. */
  readonly socketsCut: number;
  /** Changes that stay in the log since a destination has not taken them, as far as counted. */
  readonly changesNotFlushed: number;
  /** How long it took, in milliseconds. */
  readonly ms: number;
}

type Counts = Omit<ShutdownReport, "isClosed" | "ms">;

/** Waits for what is under way; what is not in time is cut. */
async function drain(
  { drainTimeoutMs, requests, live, listener }: ShutdownOptions,
): Promise<Omit<Counts, "changesNotFlushed">> {
  const underWay = requests.underWay();
  const sockets: Promise<DrainCounts> = live.drain(SOCKETS_SHARE * drainTimeoutMs);
  await within(drainTimeoutMs, underWay.ended);
  const { closed, cut } = await sockets;
  const requestsCut = underWay.left;
  if (requestsCut > 0) await listener.cut();
  return {
    isDrained: requestsCut === 0 && cut === 0,
    requests: underWay.count,
    requestsCut,
    socketsClosed: closed,
    socketsCut: cut,
  };
}

async function flush(
  { drainTimeoutMs, destinations }: ShutdownOptions,
  startMs: number,
): Promise<number> {
  const leftMs = Math.max(LEAST_FLUSH_MS, startMs + drainTimeoutMs - performance.now());
  await within(Math.min(leftMs, LAST_FLUSH_TIMEOUT_MS), destinations.flushAll());
  const all = destinations.all().flatMap(([, statuses]) => statuses);
  return all.reduce((sum, { lagChanges }) => sum + lagChanges, 0);
}

function tell(
  { isDrained, requests, requestsCut, socketsClosed, socketsCut, changesNotFlushed }: Counts,
  ms: number,
): void {
  const counts = { ms, requests, requestsCut, socketsClosed, socketsCut, changesNotFlushed };
  if (isDrained) {
    logger.info(
      "Drained in {ms} ms: {requests} requests and {socketsClosed} live connections have ended",
      counts,
    );
  } else {
    logger.warning(
      "The drain timed out after {ms} ms: {requestsCut} of {requests} requests and {socketsCut} " +
        "live connections were cut, {socketsClosed} were closed",
      counts,
    );
  }
  if (changesNotFlushed === 0) return;
  logger.warning("{changesNotFlushed} changes are not flushed yet and stay in the log", counts);
}

/**
 * Takes a server down.
 *
 * @param options what is taken down; it refuses new work already
 * @returns how that went, in a bounded time whatever hangs
 */
export async function shutDown(options: ShutdownOptions): Promise<ShutdownReport> {
  const { requests, listener, destinations, close } = options;
  const startMs = performance.now();
  const drained = await drain(options);
  const changesNotFlushed = await flush(options, startMs);
  await within(LEAVE_TIMEOUT_MS, requests.underWay().ended);
  await listener.cut();
  const counts = { ...drained, changesNotFlushed };
  tell(counts, Math.round(performance.now() - startMs));
  if (!await within(DESTINATIONS_TIMEOUT_MS, destinations.close())) {
    logger.warning("Destinations did not let go of their connections in time");
  }
  const isClosed = await within(CLOSE_TIMEOUT_MS, close());
  if (!isClosed) {
    logger.error("The stores could not be closed in time; what was acknowledged is on disk");
  }
  return { ...counts, isClosed, ms: Math.round(performance.now() - startMs) };
}
