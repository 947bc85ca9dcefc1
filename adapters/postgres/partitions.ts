/**
 * The months of the change table. Each month is a partition, made before the first change of it
 * comes, and dropped whole when its changes are older than they are kept.
 *
 * @module
 */

/** A month: its first moment and that of the next, in milliseconds since 1970. */
export interface Month {
  /** `2026_11`. */
  readonly name: string;
  /** The first moment. */
  readonly fromMs: number;
  /** The first moment after it. */
  readonly toMs: number;
}

/**
 * The month of a time, in UTC.
 *
 * @param ms the time, in milliseconds since 1970
 * @param later so many months later
 */
export function monthOf(ms: number, later = 0): Month {
  const date = new Date(ms);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + later];
  const fromMs = Date.UTC(year, month);
  const first = new Date(fromMs).toISOString();
  return {
    name: first.slice(0, first.indexOf("-", 1) + 3).replace("-", "_"),
    fromMs,
    toMs: Date.UTC(year, month + 1),
  };
}

/** The name of a month's partition. */
export function partitionName({ name }: Month): string {
  return `lakesync_deltas_${name}`;
}

/**
 * The months that some times need, and the one after each.
 *
 * @param times times in milliseconds since 1970
 */
export function monthsOf(times: readonly number[]): readonly Month[] {
  const months = new Map<string, Month>();
  for (const ms of new Set(times)) {
    for (const month of [monthOf(ms), monthOf(ms, 1)]) months.set(month.name, month);
  }
  return [...months.values()];
}
