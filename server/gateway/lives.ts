/**
 * The lives of a gateway's data: each process begins one with its first commit. A cursor names the
 * life that was the last to begin before its seq, so that after a restore from an older copy a seq
 * that was given out twice is not mistaken for the one the client has seen. Processes that share a
 * store commit in each other's lives. Pure functions over the list.
 *
 * @module
 */

/** One life of a gateway's data. It ends where the next one begins. */
export interface Life {
  /** Random; the epoch for the first one. */
  readonly id: string;
  /** The head when it began. */
  readonly fromSeq: number;
}

/** How many lives are remembered; clients with cursors of older ones are resynced. */
const MAX_LIVES = 1_000;

/**
 * Reads the list.
 *
 * @param stored as it was written, if ever
 * @param epoch the first life
 */
export function readLives(stored: string | undefined, epoch: string): readonly Life[] {
  if (stored === undefined) return [{ id: epoch, fromSeq: 0 }];
  const lives: [string, number][] = JSON.parse(stored);
  return lives.map(([id, fromSeq]) => ({ id, fromSeq }));
}

/** Writes the list. */
export function writeLives(lives: readonly Life[]): string {
  return JSON.stringify(lives.map(({ id, fromSeq }) => [id, fromSeq]));
}

/**
 * The lives once a process has committed: its own is among them.
 *
 * @param lives the lives before the commit
 * @param id the life that the process begins
 * @param headSeq the head before the commit
 */
export function withLife(lives: readonly Life[], id: string, headSeq: number): readonly Life[] {
  if (lives.some((life) => life.id === id)) return lives;
  return [...lives, { id, fromSeq: headSeq }].slice(-MAX_LIVES);
}

/**
 * The life that a seq belongs to.
 *
 * @param lives the lives, as they are at this seq or later
 * @param seq the seq
 * @returns the id of the last one that began before it
 */
export function lifeOf(lives: readonly Life[], seq: number): string {
  return (lives.findLast(({ fromSeq }) => fromSeq < seq) ?? lives[0])?.id ?? "";
}

/**
 * Whether a seq that was seen in a life is part of this history.
 *
 * @param lives this history's lives
 * @param id the life it was seen in
 * @param seq the seq
 */
export function isOurs(lives: readonly Life[], id: string, seq: number): boolean {
  const at = lives.findIndex((life) => life.id === id);
  return at >= 0 && seq <= (lives[at + 1]?.fromSeq ?? Infinity);
}
