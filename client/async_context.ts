/**
 * Knows on whose behalf asynchronous code runs, where the runtime can tell.
 *
 * @module
 */

/** A value that follows a function through everything it awaits. */
export interface AsyncContext<T> {
  /** The value of the innermost {@linkcode AsyncContext.run} around this code. */
  current(): T | undefined;
  /** Runs a function with a value. */
  run<R>(value: T, work: () => Promise<R>): Promise<R>;
}

/**
 * Finds the runtime's way to follow asynchronous code.
 *
 * @returns a context; where the runtime has none, one that knows nothing
 */
export async function loadAsyncContext<T>(): Promise<AsyncContext<T>> {
  try {
    const { AsyncLocalStorage } = await import("node:async_hooks");
    const storage = new AsyncLocalStorage<T>();
    return {
      current: () => storage.getStore(),
      run: (value, work) => storage.run(value, work),
    };
  } catch {
    return { current: () => undefined, run: (_, work) => work() };
  }
}
