/**
 * Which snapshots of a table are kept: all that are young, then fewer and fewer. Any moment is
 * answered from the changes all the same, so this bounds metadata, which is written anew with every
 * commit, and costs no history. After a clock that was ahead was set back, snapshots are of the
 * future, all of one time: they are no longer young, or all would be kept until then. Pure.
 *
 * @module
 */

/** A snapshot, as far as it matters here. */
export interface Dated<Id> {
  /** Its number. */
  readonly id: Id;
  /** When it was made, in milliseconds since 1970. */
  readonly atMs: number;
}

/** For how long snapshots are kept how densely. */
export interface Thinning {
  /** All that are younger than this, in milliseconds, are kept. */
  readonly allMs: number;
  /** One in ten minutes of those that are younger than this, in milliseconds. */
  readonly oftenMs: number;
  /** One an hour of those that are younger than this, in milliseconds. */
  readonly hourlyMs: number;
  /** One a day of those that are younger than this, in milliseconds. */
  readonly dailyMs: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What holds unless configured otherwise: five minutes, an hour, a day, 30 days. */
export const DEFAULT_THINNING: Thinning = {
  allMs: 5 * MINUTE_MS,
  oftenMs: HOUR_MS,
  hourlyMs: DAY_MS,
  dailyMs: 30 * DAY_MS,
};

/**
 * Chooses snapshots that go. Of ten minutes, an hour and a day the last one stays; asked again of what
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
    .filter(({ id, atMs }) => {
      if (pinned.has(id) || Math.abs(nowMs - atMs) < thinning.allMs) return false;
      const slot = slotOf(atMs, nowMs, thinning);
      return slot === undefined || last.get(slot)?.id !== id;
    })
    .map(({ id }) => id);
}

/** Of the snapshots with the same slot one is kept; undefined when none is. */
function slotOf(atMs: number, nowMs: number, thinning: Thinning): string | undefined {
  const { oftenMs, hourlyMs, dailyMs } = thinning;
  const age = nowMs - atMs;
  if (age < oftenMs) return `minutes ${Math.floor(atMs / (10 * MINUTE_MS))}`;
  if (age < hourlyMs) return `hour ${Math.floor(atMs / HOUR_MS)}`;
  return age < dailyMs ? `day ${Math.floor(atMs / DAY_MS)}` : undefined;
}
