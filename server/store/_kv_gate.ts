/**
 * Lets many readers or one writer in, in the order they came.
 *
 * @module
 */

/** A lock within one process. */
export class Gate {
  #writer: Promise<unknown> = Promise.resolve();
  readonly #readers = new Set<Promise<unknown>>();

  /** Runs beside other readers, after every writer that came before. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#writer.then(work);
    const ended = settled(running).then(() => {
      this.#readers.delete(ended);
    });
    this.#readers.add(ended);
    return running;
  }

  /** Runs alone, after everyone who came before. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = [this.#writer, ...this.#readers];
    const running = Promise.all(before).then(work);
    this.#writer = settled(running);
    return running;
  }
}

function settled(running: Promise<unknown>): Promise<unknown> {
  return Promise.allSettled([running]);
}
