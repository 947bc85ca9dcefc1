/**
 * When who commits: each client at its own instant of every interval, whatever became of its
 * earlier commits. This is what makes the load open-loop.
 *
 * @module
 */

/** Clients that commit equally often. */
export interface Source<C> {
  readonly clients: readonly C[];
  /** Each client commits once in so many milliseconds. */
  readonly intervalMs: number;
}

interface Stream<C> {
  readonly source: Source<C>;
  /** For each client its instant in the interval, in ascending order. */
  readonly phases: readonly number[];
  next: number;
}

function dueOf<C>({ source, phases, next }: Stream<C>): number {
  const { clients, intervalMs } = source;
  if (clients.length === 0) return Infinity;
  return Math.floor(next / clients.length) * intervalMs + (phases[next % clients.length] ?? 0);
}

/**
 * Keeps a schedule.
 *
 * @param sources who commits
 * @param startMs when it begins, in ms of `performance.now()`
 * @param endMs when it ends
 * @param commit called for each commit, with the instant at which it was due
 * @param signal ends it before
 */
export async function keepSchedule<C>(
  sources: readonly Source<C>[],
  startMs: number,
  endMs: number,
  commit: (client: C, dueMs: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const streams = sources.map((source): Stream<C> => ({
    source,
    phases: source.clients.map(() => Math.random() * source.intervalMs).sort((a, b) => a - b),
    next: 0,
  }));
  while (signal?.aborted !== true) {
    const now = performance.now();
    let earliest = endMs;
    for (const stream of streams) {
      const { clients } = stream.source;
      let due = startMs + dueOf(stream);
      for (; due <= now && due < endMs; due = startMs + dueOf(stream)) {
        const client = clients[stream.next++ % clients.length];
        if (client !== undefined) commit(client, due);
      }
      earliest = Math.min(earliest, due);
    }
    if (earliest >= endMs && now >= endMs) return;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, earliest - now)));
  }
}
