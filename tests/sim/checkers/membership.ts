/**
 * Who was a member of which list when, by the order of the log. Times are positions in the run's
 * events.
 *
 * A gateway that goes back to an older copy may also go back to older memberships, and nobody
 * records that. So after a restore only those memberships count as kept that have lasted since
 * before the first transaction: no copy is older than they are.
 *
 * @module
 */

interface Span {
  readonly from: number;
  to: number;
}

/** The memberships of a run. */
export class Membership {
  readonly #spans = new Map<string, Map<string, Span[]>>();
  #restored = Infinity;
  #setUp = Infinity;

  /** Notes that a user becomes a member of a list. */
  join(user: string, list: string, at: number): void {
    const spans = this.#of(user, list);
    if (spans.at(-1)?.to !== Infinity) spans.push({ from: at, to: Infinity });
  }

  /** Notes that a user is no longer a member of a list. */
  leave(user: string, list: string, at: number): void {
    const last = this.#of(user, list).at(-1);
    if (last?.to === Infinity) last.to = at;
  }

  /** Notes that the first transaction is begun. */
  began(at: number): void {
    this.#setUp = Math.min(this.#setUp, at);
  }

  /** Notes that a gateway goes back to an older copy. */
  restored(at: number): void {
    this.#restored = Math.min(this.#restored, at);
  }

  /** Whether a user was surely a member of a list from one moment to another, both included. */
  throughout(user: string, list: string, from: number, to: number): boolean {
    const start = this.#restored <= to ? Math.min(from, this.#setUp) : from;
    return this.#all(user, list).some((span) => span.from <= start && to < span.to);
  }

  /**
   * Whether a user may have been a member of a list at some moment between two, both included.
   * After a restore the first of the two is the beginning.
   */
  sometime(user: string, list: string, from: number, to: number): boolean {
    const start = this.#restored <= to ? 0 : from;
    return this.#all(user, list).some((span) => span.from <= to && start < span.to);
  }

  #all(user: string, list: string): readonly Span[] {
    return this.#spans.get(user)?.get(list) ?? [];
  }

  #of(user: string, list: string): Span[] {
    const lists = this.#spans.get(user) ?? new Map<string, Span[]>();
    const spans = lists.get(list) ?? [];
    this.#spans.set(user, lists.set(list, spans));
    return spans;
  }
}
