/**
 * Ends streams that began before a table was closed: their chunks have its rows. Who resumes such a
 * stream gets another one, by the tables that are reached now.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { RuleBook } from "./rule_book.ts";
import { EVERY_TABLE, sameReach } from "./table_reach.ts";

/**
 * Frames as long as clients reach the same tables as at the beginning.
 *
 * @param frames the frames of a stream
 * @param began the rules that it began by
 * @param current gives those that hold
 * @throws {LakeSyncError} `BACKPRESSURE` when tables were closed or opened meanwhile
 */
export async function* whileReached(
  frames: AsyncIterable<Uint8Array>,
  began: RuleBook,
  current: () => Promise<RuleBook | undefined>,
): AsyncGenerator<Uint8Array> {
  const { reach = EVERY_TABLE } = began.put;
  for await (const frame of frames) {
    const book = await current();
    if (book !== began && !sameReach(book?.put.reach ?? EVERY_TABLE, reach)) {
      throw new LakeSyncError("BACKPRESSURE", "Other tables are reached by now, resume the stream");
    }
    yield frame;
  }
}
