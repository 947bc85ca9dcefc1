/**
 * The signals that ask the process to end: the first one in order, a second one at once.
 *
 * @module
 */

/** The exit code of a process that was told twice to end. */
const TOLD_TWICE = 130;

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/**
 * Listens for the signals from now on.
 *
 * @returns resolves with the first; with a second one the process ends
 */
export function stopSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  let asked = false;
  for (const signal of SIGNALS) {
    Deno.addSignalListener(signal, () => {
      if (asked) Deno.exit(TOLD_TWICE);
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}
