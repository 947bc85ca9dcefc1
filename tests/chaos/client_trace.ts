/**
 * What of a process's SQLite file would be left if the power failed at an instant: its system calls
 * are recorded with what they wrote, and played again up to the instant without what no fsync
 * followed.
 *
 * @module
 */

import type { Random } from "../oracle/random.ts";

const CALLS = "pwrite64,ftruncate,fsync,fdatasync,write,writev,sendto,sendmsg";
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * What is put before a command so that its calls are recorded. The recorder ends with the command,
 * which keeps its process id.
 *
 * @param file where to
 */
export function recorder(file: string): readonly [string, ...string[]] {
  const flags = ["-D", "-f", "-y", "-xx", "-s", String(MOST_BYTES)];
  return ["strace", ...flags, "-e", `trace=${CALLS}`, "-o", file];
}

/** Whether calls can be recorded here. */
export async function canRecord(): Promise<boolean> {
  try {
    const args = ["-o", "/dev/null", "true"];
    return (await new Deno.Command("strace", { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** A call, in the order in which they had an effect. */
export interface Call {
  /** Its name. */
  readonly name: string;
  /** The file it is about. */
  readonly file: string;
  /** What it wrote. */
  readonly bytes: Uint8Array;
  /** The number it ends with: an offset for `pwrite64`, a length for `ftruncate`. */
  readonly number: number;
}

const HEX = /((?:\\x[0-9a-f]{2})+)/;
const FILE = new RegExp(`^\\w+\\((?:\\d+<)?"?${HEX.source}`);
const DATA = new RegExp(`"${HEX.source}"`, "g");

function unhex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll("\\x", ""));
}

const SENDS = /^(?:write|writev|sendto|sendmsg)\(/;

/** Reads one finished call; undefined where it failed or is about nothing that has a name. */
function parseCall(text: string): Call | undefined {
  const file = FILE.exec(text)?.[1];
  const result = /\) += (-?\d+)/.exec(text.slice(-80))?.[1];
  if (file === undefined || result === undefined || result.startsWith("-")) return undefined;
  const name = text.slice(0, text.indexOf("("));
  const data = unhex([...text.matchAll(DATA)].map((match) => match[1] ?? "").join(""));
  return {
    name,
    file: new TextDecoder().decode(unhex(file)),
    bytes: SENDS.test(text) ? data.subarray(0, Number(result)) : data,
    number: Number(/, (\d+)\) +=/.exec(text.slice(-80))?.[1] ?? 0),
  };
}

/**
 * Reads a record. What is sent counts from when it began, all else from when it was done.
 *
 * @param record what {@linkcode recorder} wrote
 */
export function parseRecord(record: string): Call[] {
  const calls: (Call | undefined)[] = [];
  const unfinished = new Map<string, { readonly begun: string; readonly at: number }>();
  for (const line of record.split("\n")) {
    const thread = line.slice(0, line.indexOf(" "));
    const rest = line.slice(thread.length).trimStart();
    if (rest.endsWith("<unfinished ...>")) {
      const begun = rest.slice(0, -"<unfinished ...>".length).trimEnd();
      const at = SENDS.test(begun) ? calls.push(undefined) - 1 : -1;
      unfinished.set(thread, { begun, at });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const { begun, at } = unfinished.get(thread) ?? { begun: undefined, at: -1 };
    unfinished.delete(thread);
    if (resumed && begun === undefined) continue;
    const call = parseCall(resumed ? `${begun}${resumed[1]}` : rest);
    if (at < 0) calls.push(call);
    else calls[at] = call;
  }
  return calls.filter((call) => call !== undefined);
}

/** A file as the disk has it for sure, and what may follow. */
class Played {
  unsynced: Call[] = [];
  #buffer = new Uint8Array(64 * 1024);
  #length = 0;

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  apply({ name, bytes, number }: Call): void {
    const end = number + bytes.length;
    if (end > this.#buffer.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    if (name === "ftruncate" && end < this.#length) this.#buffer.fill(0, end, this.#length);
    this.#buffer.set(bytes, number);
    this.#length = name === "ftruncate" ? end : Math.max(this.#length, end);
  }
}

/**
 * The files that a power failure leaves.
 *
 * @param calls up to the failure
 * @param path the SQLite file
 * @param random decides which of the writes that no fsync followed are on the disk nevertheless;
 * none when undefined
 * @returns the bytes of the file, and of its log
 */
export function leftByPowerFailure(
  calls: readonly Call[],
  path: string,
  random?: Random,
): { readonly database: Uint8Array<ArrayBuffer>; readonly log: Uint8Array<ArrayBuffer> } {
  const files = new Map([path, `${path}-wal`].map((file) => [file, new Played()]));
  for (const call of calls) {
    const file = files.get(call.file);
    if (file === undefined) continue;
    if (call.name === "fsync" || call.name === "fdatasync") {
      for (const before of file.unsynced) file.apply(before);
      file.unsynced = [];
    } else if (call.name === "pwrite64" || call.name === "ftruncate") file.unsynced.push(call);
  }
  for (const file of files.values()) {
    for (const call of file.unsynced) if (random?.chance(0.5)) file.apply(call);
  }
  const bytes = (file: string) => files.get(file)?.bytes ?? new Uint8Array();
  return { database: bytes(path), log: bytes(`${path}-wal`) };
}
