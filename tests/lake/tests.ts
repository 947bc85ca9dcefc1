/**
 * Tests with the programs that read the lake beside LakeSync, in one line each: skipped, with the
 * reason, where they are not there.
 *
 * @module
 */

import { findS3 } from "../servers/s3.ts";
import {
  canRead,
  type Question,
  type Reader,
  type ReaderName,
  READERS,
  startReader,
} from "./readers.ts";
import { findLakeTools, type LakeTools } from "./tools.ts";

const found = await findLakeTools();
const s3 = await findS3();
const told = new Set<string>();

function tell(missing: string): void {
  if (!told.has(missing)) console.log(`skipped: ${missing}`);
  told.add(missing);
}

function lacksS3(): boolean {
  if ("missing" in s3) tell(s3.missing);
  return "missing" in s3;
}

/**
 * Where the programs are; undefined where they are missing, which is printed once a file.
 */
export function lakeTools(): LakeTools | undefined {
  if (!("missing" in found)) return found;
  tell(found.missing);
  return undefined;
}

/** The readers of a file of tests. */
export interface Readers {
  /** One of them. */
  get(name: ReaderName): Reader;
  /** All of them; of a question, those that can read what it asks for. */
  all(question?: Question): readonly Reader[];
}

/**
 * Has readers started before the tests of this file and ended after them; call it once, before the
 * tests.
 *
 * @param names which
 */
export function useReaders(names: readonly ReaderName[] = READERS): Readers {
  const readers = new Map<ReaderName, Reader>();
  const tools = lakeTools();
  if (tools !== undefined) {
    Deno.test.beforeAll(async () => {
      for (const name of names) readers.set(name, await startReader(name, tools));
    });
    Deno.test.afterAll(async () => {
      for (const reader of readers.values()) await reader[Symbol.asyncDispose]();
    });
  }
  const get = (name: ReaderName) => {
    const reader = readers.get(name);
    if (reader === undefined) throw new Error(`The reader ${name} of this file did not start`);
    return reader;
  };
  return {
    get,
    all: (question) =>
      names.filter((name) => question === undefined || canRead(name, question)).map(get),
  };
}

/** What a test needs beside the readers. */
export interface LakeTestOptions {
  /** A server that speaks S3. */
  readonly s3?: boolean;
}

/**
 * Registers a test that needs the programs.
 *
 * @param name the test's name
 * @param options what else it needs
 * @param run the test
 */
export function lakeTest(
  name: string,
  options: LakeTestOptions,
  run: (tools: LakeTools) => Promise<void>,
): void {
  const tools = lakeTools();
  Deno.test({
    name,
    ignore: tools === undefined || (options.s3 === true && lacksS3()),
    fn: async () => {
      if (tools !== undefined) await run(tools);
    },
  });
}
