/**
 * Work that is done one after the other.
 *
 * @module
 */

/** Lets one after the other work. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Works when all who came before have ended, well or not.
   *
   * @param work what to do
   */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
