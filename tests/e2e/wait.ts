/**
 * Waiting for conditions, each with a deadline and a name for when it is missed.
 *
 * @module
 */

import type { Client, SchemaSpec, SyncStatus } from "@lakesync/client";

const DEADLINE_MS = 15_000;
const LOOK_EVERY_MS = 5;

/**
 * Waits until a condition holds.
 *
 * @param what names it in the failure
 * @param holds looked at again and again
 * @param withinMs the deadline
 * @returns how long it took, in milliseconds
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs: number = DEADLINE_MS,
): Promise<number> {
  const start = performance.now();
  while (!await holds()) {
    if (performance.now() - start > withinMs) {
      throw new Error(`Not within ${withinMs} ms: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return performance.now() - start;
}

/**
 * Waits until a client's status fits.
 *
 * @param client the client
 * @param fits what is waited for
 * @param withinMs the deadline
 * @returns the status that fitted
 */
export async function statusOf<S extends SchemaSpec>(
  client: Client<S>,
  fits: (status: SyncStatus) => boolean,
  withinMs: number = DEADLINE_MS,
): Promise<SyncStatus> {
  const { promise, resolve, reject } = Promise.withResolvers<SyncStatus>();
  const timer = setTimeout(() => {
    reject(new Error(`Not within ${withinMs} ms: ${fits}, ${JSON.stringify(client.status.value)}`));
  }, withinMs);
  const stop = client.status.subscribe((status) => {
    if (fits(status)) resolve(status);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    stop();
  }
}

/**
 * Waits until everything a client wrote was accepted or refused and a checkpoint contains it.
 *
 * @param client the client
 * @param withinMs the deadline
 */
export async function synced<S extends SchemaSpec>(
  client: Client<S>,
  withinMs: number = DEADLINE_MS,
): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(
      new Error(`Not synced within ${withinMs} ms: ${JSON.stringify(client.status.value)}`),
    );
  }, withinMs);
  try {
    await client.synced(late.signal);
  } finally {
    clearTimeout(timer);
  }
}
