/**
 * What the gateway has acknowledged, as seen on the wire between a client and it.
 *
 * @module
 */

import { decodeError, decodePush, decodePushResult, type ErrorCode } from "@lakesync/core";

/** Watches the pushes of clients and their answers. */
export class Ledger {
  /** The ids of the marks whose transactions were acknowledged. */
  readonly acknowledged: Set<string> = new Set();
  /** Acknowledged transactions that a client sent again: only a gateway that lost them asks so. */
  readonly sentAgain: string[] = [];
  /** Refusals, as `code mark`. */
  readonly refused: string[] = [];
  /** Pushes that nobody answered. */
  unanswered = 0;
  /** The errors that answered pushes, each with how often. */
  readonly errors: Map<ErrorCode, number> = new Map();
  readonly #last = new Map<string, number>();
  readonly #sent = new Happening();
  readonly #answered = new Happening();

  /** Sends a request in place of the runtime's fetch, and takes down what is in it. */
  readonly fetch: typeof fetch = async (input, init) => {
    const { body } = init ?? {};
    if (!String(input).endsWith("/push") || !(body instanceof Uint8Array)) {
      return await fetch(input, init);
    }
    const { clientId, transactions } = decodePush(body);
    const marks = new Map(transactions.map(({ mutationId, deltas }) => {
      return [mutationId, deltas.find(({ shape }) => shape.table === "marks")?.rowId ?? ""];
    }));
    const before = this.#last.get(clientId) ?? 0;
    for (const [mutationId, mark] of marks) if (mutationId <= before) this.sentAgain.push(mark);
    let response: Response;
    let answer: Uint8Array<ArrayBuffer>;
    this.#sent.happened();
    try {
      response = await fetch(input, init);
      answer = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      this.unanswered++;
      throw error;
    }
    if (!response.ok) {
      const { code } = decodeError(answer);
      this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    } else {
      const { lastMutationId, rejected } = decodePushResult(answer);
      for (const { mutationId, code } of rejected) {
        this.refused.push(`${code} ${marks.get(mutationId)}`);
      }
      for (const [mutationId, mark] of marks) {
        if (mutationId <= lastMutationId) this.acknowledged.add(mark);
      }
      this.#last.set(clientId, Math.max(before, lastMutationId));
      this.#answered.happened();
    }
    return new Response(answer, { status: response.status, headers: response.headers });
  };

  /**
   * Waits until so many further pushes are acknowledged.
   *
   * @param count how many
   * @param withinMs the deadline
   * @returns whether they were in time
   */
  next(count: number, withinMs: number): Promise<boolean> {
    return this.#answered.wait(count, withinMs);
  }

  /**
   * Waits until so many further pushes are sent, which nobody may have answered yet.
   *
   * @param count how many
   * @param withinMs the deadline
   * @returns whether they were in time
   */
  nextSent(count: number, withinMs: number): Promise<boolean> {
    return this.#sent.wait(count, withinMs);
  }
}

/** Something that happens again and again. */
class Happening {
  readonly #waiting = new Set<() => void>();

  happened(): void {
    for (const tell of [...this.#waiting]) tell();
  }

  async wait(count: number, withinMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), withinMs);
    let left = count;
    const tell = () => {
      if (--left === 0) resolve(true);
    };
    this.#waiting.add(tell);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(tell);
    }
  }
}
