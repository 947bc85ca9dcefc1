/**
 * Waiting for work for a bounded time.
 *
 * @module
 */

/**
 * Waits for work, but not for longer than a time; the work goes on then.
 *
 * @param ms how long, in milliseconds
 * @param work the work
 * @returns whether it was done in time
 * @throws what the work fails with in time
 */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
