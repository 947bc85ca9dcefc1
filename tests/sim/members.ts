/**
 * Who is in which list by a gateway's log. As with any row the greatest stamps decide and not the
 * order of the log: a device that is new, and whose clock is behind, does not put anybody back on a
 * list who was taken off it with a greater stamp.
 *
 * @module
 */

import { compareStamps, type Delta, type Stamp } from "@lakesync/core";

/** The rows of `members`, by their greatest stamps. */
export class Members {
  readonly #born = new Map<string, Stamp>();
  readonly #died = new Map<string, Stamp>();

  /** The rowIds of those that are there, `<list>:<user>`. */
  get names(): ReadonlySet<string> {
    return new Set(this.#born.keys().filter((rowId) => this.#has(rowId)));
  }

  /**
   * Takes in a change from the log.
   *
   * @param delta the change, of whatever table
   * @param clientId whose it is
   * @returns whether a member came (true), went (false), or neither (undefined)
   */
  take({ shape: { table, op }, rowId, hlc }: Delta, clientId: string): boolean | undefined {
    if (table !== "members" || op === "UPDATE" || hlc === undefined) return undefined;
    const before = this.#has(rowId);
    const stamps = op === "INSERT" ? this.#born : this.#died;
    const known = stamps.get(rowId);
    const stamp = { hlc, clientId };
    if (known === undefined || compareStamps(stamp, known) > 0) stamps.set(rowId, stamp);
    const after = this.#has(rowId);
    return before === after ? undefined : after;
  }

  #has(rowId: string): boolean {
    const [born, died] = [this.#born.get(rowId), this.#died.get(rowId)];
    return born !== undefined && (died === undefined || compareStamps(born, died) > 0);
  }
}
