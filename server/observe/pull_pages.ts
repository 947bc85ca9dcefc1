/**
 * Of how many pages each pull consists. Only pulls that are between two pages are remembered, and of
 * those the newest.
 *
 * @module
 */

/** So many pulls are remembered at once. */
const MAX_OPEN = 10_000;

/** Counts the pages of pulls. */
export class PullPages {
  readonly #open = new Map<string, number>();
  readonly #completed: (pages: number) => void;

  /** @param completed told of the pages of each pull that is complete */
  constructor(completed: (pages: number) => void) {
    this.#completed = completed;
  }

  /**
   * A page was given.
   *
   * @param gatewayId the gateway
   * @param clientId who pulls
   * @param cursor after which place; undefined at the beginning of everything
   * @param isComplete whether it ends the pull
   */
  page(
    gatewayId: string,
    clientId: string,
    cursor: string | undefined,
    isComplete: boolean,
  ): void {
    if (isComplete && this.#open.size === 0) return this.#completed(1);
    const key = `${gatewayId} ${clientId}`;
    const before = cursor === undefined ? 0 : this.#open.get(key) ?? 0;
    this.#open.delete(key);
    if (isComplete) return this.#completed(before + 1);
    this.#open.set(key, before + 1);
    if (this.#open.size <= MAX_OPEN) return;
    for (const oldest of this.#open.keys()) {
      this.#open.delete(oldest);
      break;
    }
  }
}
