/**
 * Reads objects of which many are needed, a few at a time.
 *
 * @module
 */

/** So many are read at a time. */
const READ_AHEAD = 8;

/**
 * Reads things in order, some ahead of the one that is taken.
 *
 * @param items what is to be read
 * @param load reads one
 * @returns what was read, in order; fails where one could not be
 */
export async function* readAhead<T, R>(
  items: readonly T[],
  load: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const open: Promise<R>[] = [];
  try {
    for (let next = 0; next < items.length || open.length > 0;) {
      for (const item of items.slice(next, next + READ_AHEAD - open.length)) {
        next++;
        const loading = load(item);
        // One that fails is told of in its turn.
        loading.catch(() => {});
        open.push(loading);
      }
      const first = open.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(open);
  }
}
