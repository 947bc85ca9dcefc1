/**
 * Waiting that ends early: for a signal, or for an answer that may never come.
 *
 * @module
 */

/** Calls back once after a time in milliseconds; gives what cancels it. */
type SetTimer = (ms: number, callback: () => void) => () => void;

/** Wakes the one that waits for it; a signal that comes before the waiting counts too. */
export class Signal {
  #given = false;
  #wake: () => void = () => {};

  /** Wakes. */
  give(): void {
    this.#given = true;
    this.#wake();
  }

  /** Waits for the next signal. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#given = false;
        this.#wake = () => {};
        resolve();
      };
      if (this.#given) this.#wake();
    });
  }
}

/**
 * Waits for an answer for a bounded time. An answer that comes later is ignored.
 *
 * @param answer the answer
 * @param ms how long, in milliseconds
 * @param setTimer sets a timer
 * @param late makes the error for an answer that did not come
 */
export function within<T>(
  answer: Promise<T>,
  ms: number,
  setTimer: SetTimer,
  late: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = setTimer(ms, () => reject(late()));
    answer.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}
