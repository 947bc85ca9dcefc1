/**
 * The beginning of another epoch in data that were put back to a copy. It is a commit of its own and
 * a life of its own ([lives](./lives.ts)): destinations that followed what is lost see where the two
 * histories parted, and clients begin anew, since the history of what they hold ends here.
 *
 * @module
 */

import type { Store } from "../store/store.ts";
import { type Base, baseWrites, loadBase } from "./base.ts";
import { type Life, withLife } from "./lives.ts";

/**
 * Begins another epoch.
 *
 * @param store the data, which nobody else has open
 * @param epoch its name, unlike any other
 * @param lives the lives of the data's history, where more is known of them than the data say
 */
export async function beginEpoch(
  store: Store,
  epoch: string,
  lives?: readonly Life[],
): Promise<void> {
  const before = await loadBase(store);
  const seq = before.head.seq + 1;
  const after: Base = {
    ...before,
    head: { ...before.head, seq },
    lives: withLife(lives ?? before.lives, epoch, before.head.seq),
    horizonSeq: seq,
  };
  await store.commit({
    expectedSeq: before.head.seq,
    head: { seq, hlc: before.head.hlc },
    ...baseWrites(before, after),
  });
}
