/**
 * Mistakes made on purpose: a copy of the sources in which places are changed, so that a tool that
 * claims to find mistakes can be tried on them. What is run is the copy, never the repository.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** One place that is changed. */
export interface Change {
  /** The file, from the root of the repository. */
  readonly file: string;
  /** A text that is there once. */
  readonly find: string;
  /** What is written instead. */
  readonly replace: string;
}

/** A mistake. */
export interface Mutant {
  /** What is wrong then. */
  readonly name: string;
  /** Where. */
  readonly changes: readonly Change[];
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

async function copy(from: string, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    await Deno.mkdir(dirname(to), { recursive: true });
    return await Deno.copyFile(from, to);
  }
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), join(to, name));
}

/**
 * Copies parts of the repository into a folder.
 *
 * @param folder where to
 * @param paths files and folders, from the root of the repository
 */
export async function copySources(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) await copy(join(ROOT, path), join(folder, path));
}

/**
 * Makes a mistake in a copy.
 *
 * @param folder the copy
 * @param mutant the mistake
 * @returns gives back what was there
 * @throws when a text is not there, or more than once
 */
export async function makeMistake(
  folder: string,
  { name, changes }: Mutant,
): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  const undoAll = async () => {
    for (const step of undo) await step();
  };
  for (const { file, find, replace } of changes) {
    const path = join(folder, file);
    const text = await Deno.readTextFile(path);
    if (text.split(find).length !== 2) {
      await undoAll();
      throw new Error(`"${name}" no longer fits ${file}, where this must be once:\n${find}`);
    }
    await Deno.writeTextFile(path, text.replace(find, () => replace));
    undo.unshift(() => Deno.writeTextFile(path, text));
  }
  return undoAll;
}

/** What a tool came to. */
export interface Ended {
  readonly code: number;
  readonly text: string;
}

/**
 * Runs a tool in a copy, without checking its types.
 *
 * @param folder the copy
 * @param args the tool, from the root of the repository, and its arguments
 * @param withinMs it is killed after so many milliseconds; the code is not 0 then
 * @returns its exit code, and what it wrote, first to its output and then to its errors
 */
export async function runIn(
  folder: string,
  args: readonly string[],
  withinMs = 1_800_000,
): Promise<Ended> {
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(), withinMs);
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", ...args],
      cwd: folder,
      stdout: "piped",
      stderr: "piped",
      signal: ended.signal,
    }).output();
    const decoder = new TextDecoder();
    return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    clearTimeout(timer);
  }
}
