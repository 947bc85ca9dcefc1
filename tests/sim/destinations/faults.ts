/**
 * What goes wrong on the way to a destination, by chance from outside, so that a seed replays it.
 *
 * @module
 */

/** How likely each thing is at each write, from 0 to 1. */
export interface DestinationFaults {
  /** The call is lost on its way: nothing happens, the caller gets an error. */
  readonly lost?: number;
  /** The call is done, its answer is lost: the caller gets an error. */
  readonly answerLost?: number;
  /** The destination refuses: nothing happens, the caller gets an error. */
  readonly refused?: number;
  /** The caller gets an error at once; the call is done some time later, or fails then. */
  readonly late?: number;
  /** The call is done, after a pause. */
  readonly stalled?: number;
}

/** What a destination needs of the world. */
export interface DestinationWorld {
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** Resolves some time later; undefined for a time of the world's choice. */
  readonly pause: (ms?: number) => Promise<void>;
  /** How likely what is; read at each call, so that a run may heal. */
  readonly faults: DestinationFaults;
  /** Told of each fault that fires. */
  readonly onFault?: (fault: string) => void;
}

/** A connection that failed; whether the call was done is not known. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/**
 * Does a call as a network and a server do it, with at most one fault.
 *
 * @param world chance and time
 * @param what the call, for messages
 * @param act does it, in one step
 * @returns what it gives
 */
export async function calling<T>(
  world: DestinationWorld,
  what: string,
  act: () => T | Promise<T>,
): Promise<T> {
  const fault = drawn(world);
  if (fault !== undefined) world.onFault?.(`${what} ${fault}`);
  await world.pause();
  switch (fault) {
    case "lost":
      throw new ConnectionLost(`The connection was lost before the ${what}`);
    case "refused":
      throw new Error(`The ${what} was refused`);
    case "answerLost":
      await act();
      throw new ConnectionLost(`The connection was lost after the ${what}`);
    case "late":
      void world.pause().then(act).catch(() => {});
      throw new ConnectionLost(`The connection was lost during the ${what}`);
    case "stalled":
      await world.pause();
      return await act();
    default:
      return await act();
  }
}

const FAULTS = ["lost", "answerLost", "refused", "late", "stalled"] as const;

function drawn({ random, faults }: DestinationWorld): (typeof FAULTS)[number] | undefined {
  let chance = random();
  for (const fault of FAULTS) {
    chance -= faults[fault] ?? 0;
    if (chance < 0) return fault;
  }
  return undefined;
}
