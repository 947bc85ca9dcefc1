/**
 * One gateway's data on the model disk: a file that begins with everything at one time and goes on
 * with the changes since. When the changes outgrow the beginning, the next file is written; a file
 * whose beginning is not whole does not count.
 *
 * @module
 */

import type { MemoryChange } from "../../server/store/_memory_change.ts";
import { MemoryState } from "../../server/store/_memory_state.ts";
import type { Mount } from "./disk.ts";
import { decodeFrames, encodeFrame } from "./disk_frames.ts";

/** What is between a gateway's id and its file's number. */
const SEPARATOR = "@";

/** How a log is kept. */
export interface DiskLogOptions {
  /** At least so many bytes of changes are written before the next file. */
  readonly compactBytes: number;
}

/** A gateway's data, and where they are on the disk. */
export class DiskLog {
  /** The data as they are committed. */
  readonly state: MemoryState;
  readonly #gatewayId: string;
  readonly #compactBytes: number;
  #number: number;
  /** How much of the file counts. */
  #length: number;
  /** Where what was appended ends. */
  #end: number;
  /** With more bytes than this the next file is due. */
  #compactAt: number;

  private constructor(
    gatewayId: string,
    state: MemoryState,
    place: {
      readonly compactBytes: number;
      readonly number: number;
      /** Where the base ends in the file. */
      readonly baseEnd: number;
      /** Where the last change ends. */
      readonly length: number;
    },
  ) {
    this.#gatewayId = gatewayId;
    this.state = state;
    this.#compactBytes = place.compactBytes;
    this.#number = place.number;
    this.#length = this.#end = place.length;
    this.#compactAt = this.#dueAfter(place.baseEnd);
  }

  /**
   * Writes the file of a gateway that is not there. It counts after {@linkcode settle}.
   *
   * @throws {DiskFull} when it has no room; what is left does not count
   */
  static create(
    disk: Mount,
    gatewayId: string,
    { epoch, compactBytes }: DiskLogOptions & { readonly epoch: string },
  ): DiskLog {
    const state = new MemoryState(epoch);
    for (const number of numbersOf(disk, gatewayId)) disk.remove(pathOf(gatewayId, number));
    const length = writeBase(disk, pathOf(gatewayId, 1), state);
    return new DiskLog(gatewayId, state, { compactBytes, number: 1, baseEnd: length, length });
  }

  /**
   * Reads what a gateway has left and cuts off what was torn. It may be used after
   * {@linkcode settle}.
   *
   * @returns undefined when there is no such gateway
   */
  static recover(
    disk: Mount,
    gatewayId: string,
    { compactBytes }: DiskLogOptions,
  ): DiskLog | undefined {
    for (const number of numbersOf(disk, gatewayId).toReversed()) {
      const path = pathOf(gatewayId, number);
      const [base, ...changes] = decodeFrames(disk.read(path) ?? new Uint8Array());
      if (base?.record.kind !== "base") continue;
      const state = MemoryState.from(base.record.content);
      for (const { record } of changes) if (record.kind !== "base") state.apply(record);
      const length = changes.at(-1)?.end ?? base.end;
      disk.truncate(path, length);
      return new DiskLog(gatewayId, state, { compactBytes, number, baseEnd: base.end, length });
    }
    return undefined;
  }

  /**
   * The gateways that are on a disk.
   *
   * @returns their ids, ascending
   */
  static list(disk: Mount): readonly string[] {
    const whole = disk.list().filter((path) => {
      const [base] = decodeFrames(disk.read(path) ?? new Uint8Array());
      return base !== undefined;
    });
    const ids = whole.map((path) => path.slice(0, path.lastIndexOf(SEPARATOR)));
    return [...new Set(ids)].sort();
  }

  /**
   * Names another epoch in data that no process has open.
   *
   * @throws {DiskFull} when it has no room
   */
  static renewEpoch(disk: Mount, gatewayId: string, epoch: string): void {
    const log = DiskLog.recover(disk, gatewayId, { compactBytes: 0 });
    if (log === undefined) return;
    const content = log.state.content();
    const state = MemoryState.from({ ...content, head: { ...content.head, epoch } });
    log.turn(disk, { length: writeBase(disk, pathOf(gatewayId, log.#number + 1), state) });
  }

  /** Whether the changes have outgrown what the file begins with. */
  get isLong(): boolean {
    return this.#length > this.#compactAt;
  }

  /**
   * Makes what was read or created durable: it may come from the page cache of a process that was
   * killed before its fsync, and whoever reads it takes it for committed.
   */
  settle(disk: Mount): void {
    disk.fsync(this.#path);
    for (const number of numbersOf(disk, this.#gatewayId)) {
      if (number !== this.#number) disk.remove(pathOf(this.#gatewayId, number));
    }
  }

  /**
   * Writes a change behind the others. It counts after {@linkcode sync}.
   *
   * @throws {DiskFull} when it has no room; nothing is left of it then
   */
  append(disk: Mount, change: MemoryChange): void {
    const frame = encodeFrame(change);
    try {
      disk.append(this.#path, frame);
    } catch (error) {
      this.undo(disk);
      throw error;
    }
    this.#end += frame.length;
  }

  /** Makes what was appended durable. */
  sync(disk: Mount): void {
    disk.fsync(this.#path);
    this.#length = this.#end;
  }

  /** Takes back what was appended and is not synced. */
  undo(disk: Mount): void {
    disk.truncate(this.#path, this.#length);
    this.#end = this.#length;
  }

  /**
   * Writes the next file, which begins with everything there is now. It takes the place of the
   * present one by {@linkcode turn}.
   *
   * @throws {DiskFull} when it has no room
   */
  begin(disk: Mount): NextFile {
    const length = writeBase(disk, pathOf(this.#gatewayId, this.#number + 1), this.state);
    return { length };
  }

  /** Makes the next file durable and takes it. */
  turn(disk: Mount, { length }: NextFile): void {
    this.#number++;
    this.#length = this.#end = length;
    this.#compactAt = this.#dueAfter(length);
    this.settle(disk);
  }

  /** Gives up the next file: left there, it would be taken for newer than the present one. */
  abandon(disk: Mount): void {
    disk.remove(pathOf(this.#gatewayId, this.#number + 1));
    this.#compactAt = this.#dueAfter(this.#length);
  }

  get #path(): string {
    return pathOf(this.#gatewayId, this.#number);
  }

  #dueAfter(length: number): number {
    return length + Math.max(length, this.#compactBytes);
  }
}

/** A file that was written and is not yet in use. */
export interface NextFile {
  /** Its length in bytes. */
  readonly length: number;
}

function writeBase(disk: Mount, path: string, state: MemoryState): number {
  const frame = encodeFrame({ kind: "base", content: state.content() });
  disk.append(path, frame);
  return frame.length;
}

function pathOf(gatewayId: string, number: number): string {
  return gatewayId + SEPARATOR + number;
}

/**
 * Whether a file is one of a gateway's.
 *
 * @param gatewayId the gateway
 * @param path the file
 */
export function isFileOf(gatewayId: string, path: string): boolean {
  return path.startsWith(gatewayId + SEPARATOR);
}

/** The numbers of a gateway's files, ascending. */
function numbersOf(disk: Mount, gatewayId: string): readonly number[] {
  return disk.list().filter((path) => isFileOf(gatewayId, path))
    .map((path) => Number(path.slice(gatewayId.length + SEPARATOR.length)))
    .sort((a, b) => a - b);
}
