/** Notes as a client writes and awaits them. */

import { until } from "./wait.ts";
import { type NotesClient, rowsOf } from "./world.ts";

/** Writes notes whose titles are their ids. */
export async function write(client: NotesClient, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await client.exec("INSERT INTO notes VALUES (?, ?, NULL)", [id, id]);
}

/** Waits until a client has so many notes. */
export async function has(client: NotesClient, count: number): Promise<void> {
  await until(`${count} rows`, async () => (await rowsOf(client, "notes")).length === count);
}
