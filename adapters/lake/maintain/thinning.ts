/**
 * Which snapshots of a table are kept: all that are young, then fewer and fewer. Any moment is
 * answered from the changes all the same, so this bounds metadata and costs no history. Pure.
 *
 * @module
 */

/** A snapshot, as far as it matters here. */
export interface Dated<Id> {
  /** Its number. */
  readonly id: Id;
  /** When it was made, in milliseconds since 1970. */
  readonly atMs: number;
  /** When the next one took its place; undefined when none did. */
  readonly untilMs?: number | undefined;
}

/** For how long snapshots are kept how densely. */
export interface Thinning {
  /** All that were the newest within so long, in milliseconds, are kept: readers may be at them. */
  readonly allMs: number;
  /** One an hour of those that are younger than this, in milliseconds. */
  readonly hourlyMs: number;
  /** One a day of those that are younger than this, in milliseconds. */
  readonly dailyMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What holds unless configured otherwise: an hour, a day, 30 days. */
export const DEFAULT_THINNING: Thinning = {
  allMs: HOUR_MS,
  hourlyMs: DAY_MS,
  dailyMs: 30 * DAY_MS,
};

/**
 * Chooses snapshots that go. Of an hour and of a day the last one stays; asked again of what
 * stays, it chooses none.
 *
 * @param snapshots the snapshots of one branch, in any order
 * @param nowMs now, in milliseconds since 1970
 * @param thinning how densely they are kept
 * @param pinned snapshots that stay in any case: those that branches and tags name
 * @returns those to expire, in the order given
 */
export function expired<Id>(
  snapshots: readonly Dated<Id>[],
  nowMs: number,
  thinning: Thinning = DEFAULT_THINNING,
  pinned: ReadonlySet<Id> = new Set(),
): readonly Id[] {
  const last = new Map<string, Dated<Id>>();
  for (const snapshot of snapshots) {
    const slot = slotOf(snapshot.atMs, nowMs, thinning);
    if (slot === undefined) continue;
    const other = last.get(slot);
    if (other === undefined || snapshot.atMs >= other.atMs) last.set(slot, snapshot);
  }
  return snapshots
    .filter(({ id, atMs, untilMs = nowMs }) => {
      if (pinned.has(id) || nowMs - untilMs < thinning.allMs) return false;
      const slot = slotOf(atMs, nowMs, thinning);
      return slot === undefined || last.get(slot)?.id !== id;
    })
    .map(({ id }) => id);
}

/** Of the snapshots with the same slot one is kept; undefined when none is. */
function slotOf(atMs: number, nowMs: number, { hourlyMs, dailyMs }: Thinning): string | undefined {
  const age = nowMs - atMs;
  if (age < hourlyMs) return `hour ${Math.floor(atMs / HOUR_MS)}`;
  return age < dailyMs ? `day ${Math.floor(atMs / DAY_MS)}` : undefined;
}
