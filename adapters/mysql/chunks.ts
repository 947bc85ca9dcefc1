/**
 * Cuts what is written for many rows into statements of a good size. Pure functions.
 *
 * @module
 */

import { DestinationError } from "../adapter.ts";
import type { Session } from "./client.ts";

/** A statement holds so many characters, unless one row alone has more. */
const CHUNK_CHARACTERS = 512 * 1_024;
/** So many keys are looked up at once. */
const CHUNK_KEYS = 500;

/**
 * Joins texts with commas, in chunks that a statement can hold.
 *
 * @param tuples the texts
 * @param maxBytes the largest statement that the server takes
 */
export function* chunksOf<T>(
  items: Iterable<T>,
  textOf: (item: T) => string,
  maxBytes: number,
): Generator<{ readonly text: string; readonly items: readonly T[] }> {
  // A character has three bytes at most.
  const limit = Math.min(CHUNK_CHARACTERS, maxBytes / 4);
  let texts: string[] = [];
  let members: T[] = [];
  let size = 0;
  for (const item of items) {
    const text = textOf(item);
    if (size > 0 && size + text.length > limit) {
      yield { text: texts.join(","), items: members };
      [texts, members, size] = [[], [], 0];
    }
    texts.push(text);
    members.push(item);
    size += text.length + 1;
  }
  if (size > 0) yield { text: texts.join(","), items: members };
}

/**
 * Writes rows to one of LakeSync's own tables.
 *
 * @param session where
 * @param before what comes before the tuples
 * @param items the rows
 * @param tupleOf writes one
 * @param after what comes after them
 * @throws {DestinationError} `stop` when a row is larger than a statement may be
 */
export async function writeChunks<T>(
  session: Session,
  before: string,
  items: Iterable<T>,
  tupleOf: (item: T) => string,
  after: string,
): Promise<void> {
  const { maxPacketBytes } = session.facts;
  for (const { text } of chunksOf(items, tupleOf, maxPacketBytes)) {
    const statement = `${before} ${text} ${after}`;
    checkSize(statement, maxPacketBytes);
    await session.run(statement);
  }
}

/** @throws {DestinationError} `stop` when a statement is larger than the server takes */
function checkSize(statement: string, maxPacketBytes: number): void {
  if (statement.length * 3 < maxPacketBytes) return;
  const bytes = new TextEncoder().encode(statement).length;
  if (bytes + 1_024 < maxPacketBytes) return;
  throw new DestinationError(
    "stop",
    `A row takes ${bytes} bytes to write and the server takes ${maxPacketBytes} at once: ` +
      `raise max_allowed_packet`,
    { code: "1153" },
  );
}

/**
 * Cuts keys into chunks that can be looked up at once.
 *
 * @param keys the keys
 */
export function* keyChunks<T>(keys: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < keys.length; i += CHUNK_KEYS) yield keys.slice(i, i + CHUNK_KEYS);
}
