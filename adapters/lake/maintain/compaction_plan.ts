/**
 * Which small files of a table of changes become one. Only files that follow one another are put
 * together, so the order of changes is that of their files for ever. A file has a level by its
 * size, and files are put together when there are enough of one level, so each change is written
 * anew about once a level, however long the table grows. Pure.
 *
 * @module
 */

/** A file, as far as it matters here. */
export interface SizedFile {
  /** Files of one partition have the same. */
  readonly partition: string;
  /** Its size in bytes. */
  readonly bytes: number;
}

/** How files are put together. */
export interface CompactionSettings {
  /** A file has at most about so many bytes, and so does what is read at once. */
  readonly targetBytes: number;
  /** Files below this, in bytes, are of the lowest level: to write them anew costs little. */
  readonly smallBytes: number;
  /** So many files of the lowest level that follow one another are put together. */
  readonly minSmall: number;
  /** So many files of a higher level are put together; a level's files are so much larger, too. */
  readonly fanIn: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_COMPACTION: CompactionSettings = {
  // What is read and written at once takes ten to twenty times its compressed size in memory.
  targetBytes: 16 * 1024 * 1024,
  smallBytes: 4 * 1024 * 1024,
  minSmall: 4,
  fanIn: 4,
};

/** Files from one place to before another. */
export interface Run {
  /** The place of the first. */
  readonly start: number;
  /** The place after the last. */
  readonly end: number;
}

/**
 * Plans which files are put together. Where the partition of the last file begins, those before it
 * will hardly get more files, so all of theirs are put together.
 *
 * @param files all files in the order of their changes
 * @param settings how
 * @returns runs of two files or more, none of which overlap, in order
 */
export function planRuns(
  files: readonly SizedFile[],
  settings: CompactionSettings = DEFAULT_COMPACTION,
): readonly Run[] {
  return stretchesOf(files, settings).flatMap((stretch) => {
    const isClosed = files[stretch.start]?.partition !== files.at(-1)?.partition;
    return isClosed ? packed(files, stretch, settings) : leveled(files, stretch, settings);
  });
}

/**
 * Tells a file's level.
 *
 * @param bytes its size
 * @param settings the levels
 */
export function levelOf(
  bytes: number,
  { smallBytes, fanIn }: Pick<CompactionSettings, "smallBytes" | "fanIn">,
): number {
  let level = 0;
  for (let bound = Math.max(1, smallBytes); bytes >= bound; bound *= Math.max(2, fanIn)) level++;
  return level;
}

/** Files of one partition that follow one another, parted by those that are large enough. */
function stretchesOf(
  files: readonly SizedFile[],
  { targetBytes }: CompactionSettings,
): readonly Run[] {
  const isFull = ({ bytes }: SizedFile) => bytes >= targetBytes * 0.75;
  return runsWhere(
    files,
    { start: 0, end: files.length },
    (file, before) =>
      isFull(file)
        ? "out"
        : before !== undefined && before.partition !== file.partition
        ? "new"
        : "in",
  );
}

/** Puts as many together as fit. */
function packed(
  files: readonly SizedFile[],
  { start, end }: Run,
  { targetBytes }: CompactionSettings,
): readonly Run[] {
  const runs: Run[] = [];
  let [from, bytes] = [start, 0];
  for (let i = start; i <= end; i++) {
    const more = files[i]?.bytes ?? 0;
    if (i < end && (i === from || bytes + more <= targetBytes)) {
      bytes += more;
      continue;
    }
    if (i - from > 1) runs.push({ start: from, end: i });
    [from, bytes] = [i, more];
  }
  return runs;
}

/** Puts together what has enough files of its highest level, the highest levels first. */
function leveled(
  files: readonly SizedFile[],
  stretch: Run,
  settings: CompactionSettings,
): readonly Run[] {
  const levels = files.map(({ bytes }) => levelOf(bytes, settings));
  const within = levels.slice(stretch.start, stretch.end);
  for (let level = Math.max(...within); level >= 0; level--) {
    const enough = level === 0 ? settings.minSmall : settings.fanIn;
    const candidates = runsWhere(levels, stretch, (each) => each <= level ? "in" : "out");
    const ripe = candidates.filter(({ start, end }) =>
      levels.slice(start, end).filter((each) => each === level).length >= enough
    );
    if (ripe.length === 0) continue;
    return candidates.flatMap((run) =>
      ripe.includes(run) ? packed(files, run, settings) : leveled(files, run, settings)
    );
  }
  return [];
}

/** Cuts a run into those parts of it whose items are in. */
function runsWhere<T>(
  items: readonly T[],
  { start, end }: Run,
  judge: (item: T, before: T | undefined) => "in" | "out" | "new",
): Run[] {
  const runs: Run[] = [];
  let from: number | undefined;
  for (let i = start; i < end; i++) {
    const item = items[i];
    if (item === undefined) break;
    const verdict = judge(item, i > start ? items[i - 1] : undefined);
    if (verdict !== "in" && from !== undefined) {
      runs.push({ start: from, end: i });
      from = undefined;
    }
    if (verdict !== "out") from ??= i;
  }
  if (from !== undefined) runs.push({ start: from, end });
  return runs;
}
