/**
 * The states of a client's connection and what moves it between them, as one total table: a missing
 * cell does not compile. What is done in a state is in `download.ts`.
 *
 * Invariants:
 * 1. Every state but `closed` leaves by itself or names what it needs: `paused` the app's resume.
 * 2. `waiting`, `needs-token` and `refused` always have a timer running; no retry happens without one.
 * 3. Pending local writes appear nowhere here: they never decide whether changes are received.
 *
 * @module
 */

/** Where a connection is. */
export type ConnectionState =
  /** The app has paused it. */
  | "paused"
  /** A socket is being opened. */
  | "connecting"
  /** The socket is open and changes come as they are committed. */
  | "live"
  /** Sockets do not work; changes are pulled over HTTP, each pull waiting for news, while a socket
   * is tried again now and then. */
  | "polling"
  /** The gateway cannot be reached; a timer runs. */
  | "waiting"
  /** The gateway refuses the token and a new one did not help; the app is asked again slowly. */
  | "needs-token"
  /** The gateway refuses for a reason the app or an admin must mend; a slow timer runs. */
  | "refused"
  /** For ever. */
  | "closed";

/** What happens to a connection. */
export type ConnectionEvent =
  | "resume"
  | "pause"
  | "close"
  /** The socket said welcome. */
  | "opened"
  /** The socket could not be opened. */
  | "blocked"
  /** The open socket went away or fell silent. */
  | "lost"
  /** An HTTP pull was answered. */
  | "answered"
  /** An HTTP pull found nobody, or an answer that says to come back later. */
  | "unreachable"
  /** The token was refused, the refreshed one too. */
  | "unauthorized"
  /** The request was refused for another reason. */
  | "refuse"
  /** The timer of the state ran out. */
  | "timer"
  /** The app says that something has changed: a new token, a network. */
  | "retry"
  /** This database has another clientId from now on. */
  | "renamed"
  /** Buckets are to be asked for again, which is said when connecting. */
  | "repair";

type Row = Readonly<Record<ConnectionEvent, ConnectionState>>;

const away: Pick<Row, "pause" | "close" | "unauthorized" | "refuse" | "unreachable"> = {
  pause: "paused",
  close: "closed",
  unauthorized: "needs-token",
  refuse: "refused",
  unreachable: "waiting",
};

const still = (state: ConnectionState): Row => ({
  resume: state,
  pause: state,
  close: state,
  opened: state,
  blocked: state,
  lost: state,
  answered: state,
  unreachable: state,
  unauthorized: state,
  refuse: state,
  timer: state,
  retry: state,
  renamed: state,
  repair: state,
});

/** For each state and event the state that follows. */
export const TRANSITIONS: Readonly<Record<ConnectionState, Row>> = {
  paused: { ...still("paused"), resume: "connecting", close: "closed" },
  connecting: {
    ...away,
    resume: "connecting",
    opened: "live",
    blocked: "polling",
    lost: "waiting",
    answered: "connecting",
    timer: "polling",
    retry: "connecting",
    renamed: "connecting",
    repair: "connecting",
  },
  live: {
    ...away,
    resume: "live",
    opened: "live",
    blocked: "waiting",
    lost: "waiting",
    answered: "live",
    timer: "live",
    retry: "live",
    renamed: "connecting",
    repair: "connecting",
  },
  polling: {
    ...away,
    resume: "polling",
    opened: "live",
    blocked: "polling",
    lost: "polling",
    answered: "polling",
    timer: "polling",
    retry: "connecting",
    renamed: "connecting",
    repair: "connecting",
  },
  waiting: {
    ...still("waiting"),
    pause: "paused",
    close: "closed",
    unauthorized: "needs-token",
    timer: "connecting",
    retry: "connecting",
  },
  "needs-token": {
    ...still("needs-token"),
    pause: "paused",
    close: "closed",
    timer: "connecting",
    resume: "connecting",
    retry: "connecting",
  },
  refused: {
    ...still("refused"),
    pause: "paused",
    close: "closed",
    unauthorized: "needs-token",
    resume: "connecting",
    timer: "connecting",
    retry: "connecting",
  },
  closed: still("closed"),
};

/**
 * The state after an event.
 *
 * @param state the state before it
 * @param event what happened
 * @returns the state after it
 */
export function transition(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  return TRANSITIONS[state][event];
}

/** How long retries wait: from `firstMs`, doubled each time up to `maxMs`, jittered down to half. */
export interface BackOff {
  /** The first wait, in milliseconds. */
  readonly firstMs: number;
  /** The longest wait, in milliseconds. */
  readonly maxMs: number;
}

/**
 * The back-off after the gateway could not be reached. Its longest wait decides how soon everybody
 * is back after a restart.
 */
export const RECONNECT: BackOff = { firstMs: 250, maxMs: 3_000 };

/** The back-off from a gateway that was not there for {@linkcode ABSENT_AFTER} tries in a row. */
export const ABSENT: BackOff = { firstMs: 3_000, maxMs: 30_000 };

/** So many tries, more than a minute, are made at the pace of {@linkcode RECONNECT}. */
export const ABSENT_AFTER = 30;

/**
 * So many failures at most are remembered of a gateway that has given a checkpoint since: it may be
 * going up and down, but it is not absent.
 */
export const UNSTEADY_FAILURES = 4;

/** The back-off between tries of a socket while HTTP serves. */
export const SOCKET_AGAIN: BackOff = { firstMs: 1_000, maxMs: 60_000 };

/** The back-off of pushes until the gateway has a schema, a newer one, or another clock. */
export const STOPPED: BackOff = { firstMs: 1_000, maxMs: 10_000 };

/** The back-off of asking the app for another token: clocks are set right, backends come back. */
export const TOKEN_AGAIN: BackOff = { firstMs: 5_000, maxMs: 60_000 };

/** The back-off after a refusal that somebody must mend. */
export const REFUSED: BackOff = { firstMs: 5_000, maxMs: 300_000 };

/**
 * How long to wait before a retry. What the gateway asked for is spread too: on the wire it is in
 * whole seconds, and who was refused together would come back together.
 *
 * @param backOff first and longest wait
 * @param failures how many tries failed in a row, from 1
 * @param random from 0 to 1
 * @param atLeastMs what the gateway asked for
 * @returns milliseconds
 */
export function backOffMs(
  backOff: BackOff,
  failures: number,
  random: number,
  atLeastMs = 0,
): number {
  const full = Math.min(backOff.maxMs, backOff.firstMs * 2 ** Math.min(failures - 1, 20));
  return Math.max(atLeastMs * (1 + random / 2), full / 2 + (full / 2) * random);
}

/**
 * How long to wait before the gateway is tried again.
 *
 * @param failures how many tries failed in a row, from 1
 * @param random from 0 to 1
 * @param atLeastMs what the gateway asked for
 * @returns milliseconds
 */
export function reconnectMs(failures: number, random: number, atLeastMs = 0): number {
  return failures <= ABSENT_AFTER
    ? backOffMs(RECONNECT, failures, random, atLeastMs)
    : backOffMs(ABSENT, failures - ABSENT_AFTER, random, atLeastMs);
}
