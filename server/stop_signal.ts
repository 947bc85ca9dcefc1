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
 * The same signal again within so long, in milliseconds, is no second one: a terminal sends it to all
 * processes in the foreground, and `deno task` passes on what it gets.
 */
const ECHO_MS = 100;

/**
 * Listens for the signals from now on.
 *
 * @returns resolves with the first; with a second one the process ends
 */
export function stopSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  let first: { readonly signal: Deno.Signal; readonly atMs: number } | undefined;
  for (const signal of SIGNALS) {
    Deno.addSignalListener(signal, () => {
      const atMs = performance.now();
      const isEcho = signal === first?.signal && atMs < first.atMs + ECHO_MS;
      if (first !== undefined && !isEcho) Deno.exit(TOLD_TWICE);
      first ??= { signal, atMs };
      resolve(signal);
    });
  }
  return promise;
}
