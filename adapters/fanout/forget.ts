/**
 * Forgetting in an adapter that follows another one.
 *
 * @module
 */

import type { DatabaseAdapter, Forget } from "../adapter.ts";

/**
 * Forgets what is old, as far as an adapter has come.
 *
 * @param adapter the adapter
 * @param what what is old
 */
export async function forgetBehind(adapter: DatabaseAdapter, what: Forget): Promise<void> {
  const position = await adapter.position();
  if (position === undefined || position.filled !== undefined) return;
  const { seq, slice } = position;
  const throughSeq = Math.min(what.throughSeq, slice === undefined ? seq : seq - 1);
  while (await adapter.forget({ ...what, throughSeq }));
}
