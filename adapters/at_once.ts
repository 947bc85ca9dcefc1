/**
 * Several calls at once, none of which is left behind: all have ended before the first failure is
 * told, so nothing is under way any more when somebody tries again.
 *
 * @module
 */

/**
 * Runs all at once and waits for all.
 *
 * @param calls what to run
 * @returns their results, in order
 * @throws what the first of them, in order, failed with
 */
export async function atOnce<T>(calls: readonly (() => Promise<T>)[]): Promise<readonly T[]> {
  const results = await Promise.allSettled(calls.map(async (call) => await call()));
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
