/**
 * Runs the commands of the gate and counts what they say.
 *
 * @module
 */

import { ROOT } from "./files.ts";

/** What a step of the gate came to. */
export interface Outcome {
  /** Checks or test cases that passed. */
  readonly passed: number;
  /** Checks or test cases that failed. */
  readonly failed: number;
  /** What to show when something failed. */
  readonly output: string;
  /** What was left out, each with its reason. */
  readonly skipped?: readonly string[];
}

/** How to run a command. */
export interface RunOptions {
  /** The folder, the root of the workspace unless given. */
  readonly cwd?: URL | string;
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** After how long it is killed, in milliseconds. */
  readonly timeoutMs?: number;
  /** Ends it before. */
  readonly signal?: AbortSignal;
}

/** What a command did. */
export interface Ran {
  /** Whether it ended with 0. */
  readonly success: boolean;
  /** Its standard output and standard error, one after the other. */
  readonly output: string;
}

const DEFAULT_TIMEOUT_MS = 300_000;

/**
 * Runs a command to its end.
 *
 * @param command the program and its arguments
 * @param options where and how
 * @returns what it did
 */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { cwd = ROOT, env = {}, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const [program = "", ...args] = command;
  const timeout = AbortSignal.timeout(timeoutMs);
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    signal: AbortSignal.any(options.signal ? [timeout, options.signal] : [timeout]),
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  return timeout.aborted
    ? { success: false, output: `${output}\nKilled after ${timeoutMs} ms` }
    : { success, output };
}

/**
 * Runs deno as one check.
 *
 * @param args its arguments
 * @param options where and how
 * @returns one passed or one failed
 */
export async function denoCheck(args: readonly string[], options?: RunOptions): Promise<Outcome> {
  const { success, output } = await run([Deno.execPath(), ...args], options);
  return { passed: success ? 1 : 0, failed: success ? 0 : 1, output };
}

/**
 * Counts the cases in the output of `deno test`.
 *
 * @param ran what it did
 * @returns the cases, at least one failed when the command failed; ignored ones as skipped
 */
export function countTests(ran: Ran): Outcome {
  const { success, output } = ran;
  const sum = /^(?:ok|FAILED) \| (\d+) passed(?: \(.*?\))? \| (\d+) failed/m.exec(output);
  const passed = Number(sum?.[1] ?? 0);
  const failed = Number(sum?.[2] ?? 0);
  const skipped = [...output.matchAll(/^(.+) \.\.\. ignored\b/gm)].map((match) => match[1] ?? "");
  const errors = output.slice(Math.max(output.search(/^ ?ERRORS/m), 0))
    .replaceAll(/^Check .*\n/gm, "");
  return { passed, failed: success ? failed : Math.max(failed, 1), output: errors, skipped };
}

/**
 * Adds outcomes up.
 *
 * @param outcomes of steps
 * @returns one outcome
 */
export function sumOf(outcomes: readonly Outcome[]): Outcome {
  return {
    passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
    failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
    output: outcomes.filter(({ failed }) => failed > 0).map(({ output }) => output).join("\n"),
    skipped: outcomes.flatMap(({ skipped = [] }) => skipped),
  };
}
