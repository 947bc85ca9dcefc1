/**
 * G2: nothing is twice in the log: no transaction, under whatever clientId it came; no change; no
 * number of a client.
 *
 * @module
 */
import type { Checker, LoggedTx, Violation } from "../history.ts";

/** Looks for transactions and changes that were taken in twice. */
export const exactlyOnce: Checker = ({ gateways }) => {
  const found: Violation[] = [];
  const txs = new Map<string, string>();
  const deltas = new Map<string, string>();
  const numbers = new Map<string, string>();
  const note = (seen: Map<string, string>, what: string, key: string, place: string) => {
    const before = seen.get(key);
    if (before !== undefined) {
      found.push({
        checker: "exactly_once",
        what: `${what} is twice in the log: ${before}, and ${place}`,
      });
    }
    seen.set(key, place);
  };
  for (const { gateway, log } of gateways) {
    for (const entry of log) {
      const place = placeOf(gateway, entry);
      const { tx, clientId, mutationId } = entry;
      note(txs, `Transaction ${tx}`, tx, place);
      note(
        numbers,
        `Number ${mutationId} of client ${clientId}`,
        `${gateway} ${clientId} ${mutationId}`,
        `${place} as ${tx}`,
      );
      for (const id of entry.deltaIds) note(deltas, `Change ${id} of ${tx}`, id, place);
    }
  }
  return found;
};

function placeOf(gateway: string, { seq, clientId, mutationId }: LoggedTx): string {
  return `at seq ${seq} of ${gateway} as ${clientId}/${mutationId}`;
}
