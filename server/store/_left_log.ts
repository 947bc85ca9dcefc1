/**
 * What a process left in the page cache that was killed between a commit and its fsync. SQLite
 * reads it from there without an fsync of its own, and so does Deno KV, which is SQLite: a client
 * would be told that its transaction is there, and a power loss could still take it back.
 *
 * @module
 */

import { dirname } from "node:path";
import { syncFolder } from "./_sqlite_layout.ts";

/**
 * Makes the write-ahead log durable that a database has, if it has one.
 *
 * @param file the database's path; nobody in this process has it open
 */
export async function syncLeftLog(file: string): Promise<void> {
  try {
    using log = await Deno.open(`${file}-wal`, { read: true, write: true });
    await log.sync();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await syncFolder(dirname(file));
}
