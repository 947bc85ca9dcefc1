/**
 * Calling the app back.
 *
 * @module
 */

/**
 * Calls a function of the app. What it throws is uncaught, as in any event handler, and stops
 * nothing here.
 *
 * @param call calls it
 */
export function callApp(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
