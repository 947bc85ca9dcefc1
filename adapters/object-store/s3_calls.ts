/**
 * Requests to an object storage: so many at once, each for a time and tried again when that may help.
 * The client's own retries are off, since they do not tell whether an earlier attempt may have come
 * through.
 *
 * @module
 */

import { judge, S3Failure } from "./s3_failure.ts";
import type { S3Settings } from "./s3_options.ts";

/** An attempt. */
export interface Attempt {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Gives it its time anew, since something came. */
  readonly touch: () => void;
}

type Work<T> = (attempt: Attempt) => Promise<T>;

const MAX_BACKOFF_MS = 5_000;

/** Makes requests. */
export class S3Calls {
  readonly #settings: S3Settings;
  readonly #closing = new AbortController();
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #free: number;

  /** @param settings how often and how long */
  constructor(settings: S3Settings) {
    this.#settings = settings;
    this.#free = settings.connections;
  }

  /**
   * Makes a request, several times if need be.
   *
   * @param what its name
   * @param work makes it
   * @throws {S3Failure} of the last attempt
   */
  async retry<T>(what: string, work: Work<T>): Promise<T> {
    for (let tries = 1;; tries++) {
      try {
        return await this.once(what, work);
      } catch (error) {
        const failure = judge(error, what, this.#settings.bucket);
        if (!failure.again || tries >= this.#settings.attempts) throw failure;
      }
      await this.backOff(what, tries);
    }
  }

  /**
   * Makes a request once.
   *
   * @param what its name
   * @param work makes it
   * @throws {S3Failure} which says what it means
   */
  async once<T>(what: string, work: Work<T>): Promise<T> {
    await this.#turn();
    try {
      this.#assertOpen(what);
      return await this.#timed(what, work);
    } finally {
      this.#free++;
      this.#waiting.shift()?.();
    }
  }

  /**
   * Waits before another attempt.
   *
   * @param what what will be tried
   * @param tries how often it was tried
   */
  async backOff(what: string, tries: number): Promise<void> {
    const longest = Math.min(MAX_BACKOFF_MS, this.#settings.backoffMs * 2 ** (tries - 1));
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, longest * (0.5 + Math.random() / 2));
      signal.addEventListener("abort", end);
    });
    this.#assertOpen(what);
  }

  /** Ends all requests and waits until they have ended; there are none afterwards. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const next of this.#waiting.splice(0)) next();
    await Promise.allSettled([...this.#running]);
  }

  #assertOpen(what: string): void {
    if (this.#closing.signal.aborted) throw new S3Failure("closed", what, "closed");
  }

  async #turn(): Promise<void> {
    while (this.#free === 0 && !this.#closing.signal.aborted) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#free--;
  }

  async #timed<T>(what: string, work: Work<T>): Promise<T> {
    const attempt = new AbortController();
    const { signal: closing } = this.#closing;
    let late: S3Failure | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const touch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => end("doubt", "Timeout"), this.#settings.requestTimeoutMs);
    };
    const end = (verdict: "doubt" | "abandoned", code: string) => {
      late ??= new S3Failure(verdict, what, code);
      attempt.abort();
    };
    const close = () => end("abandoned", "closed");
    closing.addEventListener("abort", close);
    touch();
    const { promise: ended, reject } = Promise.withResolvers<never>();
    attempt.signal.addEventListener("abort", () => reject(late));
    ended.catch(() => {});
    const running = work({ signal: attempt.signal, touch });
    // What was given up is still waited for by who closes.
    const settled = running.catch(() => {}).finally(() => this.#running.delete(settled));
    this.#running.add(settled);
    try {
      return await Promise.race([running, ended]);
    } catch (error) {
      // An answer that was not read to its end would hold its connection.
      attempt.abort();
      throw late ?? judge(error, what, this.#settings.bucket);
    } finally {
      clearTimeout(timer);
      closing.removeEventListener("abort", close);
    }
  }
}
