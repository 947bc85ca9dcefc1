/**
 * Whether what the server depends on works: each dependency is asked, all at once, in a bounded
 * time. What was found holds for a moment, and whoever asks meanwhile waits for the same answer, so
 * that probes are no load, however many come.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";

const logger = getLogger(["lakesync", "server"]);

/** How long a dependency may take to answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000;
/** How long what was found holds, in milliseconds. */
const KEEP_MS = 1_000;
/** After so long, in milliseconds, a dependency that never answered is asked once more. */
const FORGET_MS = 60_000;

/** Something that the server depends on. */
export interface Dependency {
  /** Its name in the answer. */
  readonly name: string;
  /** Asks it. @throws when it does not work */
  check(): Promise<unknown>;
}

/** How a dependency answered: `late` is one that works and is too far behind. */
export type CheckResult = "ok" | "failed" | "timeout" | "late";

/** How each answered. */
export type CheckResults = Readonly<Record<string, CheckResult>>;

/** What readiness is made of. */
export interface ReadinessOptions {
  /** What the server depends on at the moment. */
  readonly dependencies: () => readonly Dependency[];
  /** Told of each dependency that answers otherwise than before. */
  readonly onChange?: (name: string, result: CheckResult, error: unknown) => void;
  /** How long a dependency may take, in milliseconds; 5,000 unless given. */
  readonly timeoutMs?: number;
  /** Milliseconds since some moment; the runtime's clock unless given. */
  readonly now?: () => number;
}

interface Asked {
  readonly answer: Promise<unknown>;
  readonly sinceMs: number;
}

/** Asks what the server depends on. */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  /** Those that have not answered yet. */
  readonly #asked = new Map<string, Asked>();
  #last: { readonly results: CheckResults; readonly atMs: number } | undefined;
  #running: Promise<CheckResults> | undefined;

  /** @param options what there is to ask */
  constructor(options: ReadinessOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? ANSWER_TIMEOUT_MS;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether everything has been asked once, whatever it answered. */
  get isAsked(): boolean {
    return this.#last !== undefined;
  }

  /** How everything answered when it was asked last; undefined before. */
  get last(): CheckResults | undefined {
    return this.#last?.results;
  }

  /** How everything answers, as of a second ago at most. */
  results(): Promise<CheckResults> {
    const last = this.#last;
    if (last !== undefined && this.#now() < last.atMs + KEEP_MS) {
      return Promise.resolve(last.results);
    }
    return this.#running ??= this.#ask().finally(() => this.#running = undefined);
  }

  async #ask(): Promise<CheckResults> {
    const entries = await Promise.all(
      this.#options.dependencies().map(async (dependency) => {
        const { name } = dependency;
        const { result, error } = await this.#resultOf(dependency);
        if (result !== (this.#last?.results[name] ?? "ok")) {
          this.#options.onChange?.(name, result, error);
        }
        return [name, result] as const;
      }),
    );
    const results = Object.fromEntries(entries);
    this.#last = { results, atMs: this.#now() };
    return results;
  }

  async #resultOf(dependency: Dependency): Promise<{ result: CheckResult; error?: unknown }> {
    const { answer, sinceMs } = this.#askedOf(dependency);
    // One that was not in time before is not waited for again.
    const leftMs = Math.max(0, sinceMs + this.#timeoutMs - this.#now());
    const { promise: late, resolve } = Promise.withResolvers<"timeout">();
    const timer = setTimeout(() => resolve("timeout"), leftMs);
    try {
      const result = await Promise.race([answer.then(() => "ok" as const), late]);
      return { result };
    } catch (error) {
      return { result: "failed", error };
    } finally {
      clearTimeout(timer);
    }
  }

  #askedOf({ name, check }: Dependency): Asked {
    const before = this.#asked.get(name);
    if (before !== undefined && this.#now() < before.sinceMs + FORGET_MS) return before;
    const asked: Asked = { answer: check(), sinceMs: this.#now() };
    this.#asked.set(name, asked);
    const answered = () => {
      if (this.#asked.get(name) === asked) this.#asked.delete(name);
    };
    asked.answer.then(answered, answered);
    return asked;
  }
}

/** Logs that a dependency answers otherwise than before. */
export function tellOfDependency(name: string, result: CheckResult, error: unknown): void {
  if (result === "ok") logger.info("{name} works again", { name });
  else logger.warning("{name} does not work ({result}): {error}", { name, result, error });
}
