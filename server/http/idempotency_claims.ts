/**
 * Answers that are kept for requests with an `Idempotency-Key`, in the records of the server. Who
 * comes first claims the key, does the work and keeps the answer; who comes meanwhile waits for it,
 * in another process too. A claim ends by itself, so that a process that died blocks nobody for
 * long, and is renewed while its work goes on; where there is one process, it ends with that.
 *
 * @module
 */

import { type ErrorCode, type ErrorDetails, isErrorCode, LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import {
  MAX_RECORD_VALUE_CHARS,
  type RecordBatch,
  type RecordStore,
  type RecordWrite,
} from "../store/records.ts";

const logger = getLogger(["lakesync", "http"]);

/** How long an answer is kept, in milliseconds. */
export const ANSWER_KEEP_MS: number = 24 * 60 * 60 * 1000;
/** How long a claim holds unless it is renewed, in milliseconds. */
const CLAIM_MS = 10_000;
const RENEWALS = 3;
/** How long a wait is before it looks again, in milliseconds. */
const LOOK_AGAIN_MS = { first: 10, most: 250 } as const;
/** Characters of the text of an answer; more do not go into one commit of every store. */
const MAX_KEPT_CHARS = 250_000;
/** Characters beside the answer's first record, where they are quoted. */
const FIRST_PART_CHARS = 2_500;

/** What came of a request: an answer, or the error that refused it for good. */
export type Outcome =
  | {
    /** The status of the answer. */
    readonly status: number;
    /** Its headers. */
    readonly headers: Readonly<Record<string, string>>;
    /** Its text. */
    readonly body: string;
  }
  | {
    /** Why it was refused. */
    readonly code: ErrorCode;
    /** What the caller is told. */
    readonly message: string;
    /** What the caller acts on. */
    readonly details: ErrorDetails;
  };

/** What claims stand on. */
export interface AnswerClaimsOptions {
  /** Where answers are kept. */
  readonly records: RecordStore;
  /** The time since 1970, in milliseconds; the runtime's unless given. */
  readonly now?: () => number;
  /** How long a claim holds unless it is renewed, in milliseconds. */
  readonly claimMs?: number;
}

interface ClaimRecord {
  readonly bodyHash: string;
  /** Who holds it; left out once there is an outcome. */
  readonly by?: string;
  readonly outcome?: Outcome;
  /** How many further records have the rest of its text. */
  readonly parts?: number;
}

/** The keys of a server's requests. */
export class AnswerClaims {
  readonly #options: AnswerClaimsOptions;
  /** The work of this process, by key. */
  readonly #working = new Map<string, Promise<void>>();

  constructor(options: AnswerClaimsOptions) {
    this.#options = options;
  }

  /**
   * Claims a key, or finds what came of it; waits for whoever has claimed it.
   *
   * @param key names the request
   * @param bodyHash tells what it asks for
   * @param signal gives up
   * @returns the outcome that is kept, or the claim: to be kept or released, and ended in any case
   * @throws {LakeSyncError} `IDEMPOTENCY_MISMATCH`, or the reason of the signal
   */
  async begin(key: string, bodyHash: string, signal: AbortSignal): Promise<Outcome | Claim> {
    const { records } = this.#options;
    for (let ms: number = LOOK_AGAIN_MS.first;; ms = Math.min(LOOK_AGAIN_MS.most, ms * 2)) {
      signal.throwIfAborted();
      const record = await records.get(key);
      const kept = record && readRecord(record.value);
      if (kept !== undefined && kept.bodyHash !== bodyHash) {
        throw new LakeSyncError(
          "IDEMPOTENCY_MISMATCH",
          "This Idempotency-Key was used with another body, use a new one",
        );
      }
      if (kept?.outcome !== undefined) {
        const outcome = await this.#whole(key, kept.outcome, kept.parts ?? 0);
        if (outcome !== undefined) return outcome;
      } else if (this.#isFree(key, kept)) {
        const claim = await this.#take(key, bodyHash, record?.version ?? null);
        if (claim !== undefined) return claim;
      }
      await pause(ms, signal, this.#working.get(key));
    }
  }

  /** Where no other process writes, a claim that nobody here works for is one of a dead process. */
  #isFree(key: string, kept: ClaimRecord | undefined): boolean {
    if (this.#working.has(key)) return false;
    return kept === undefined || !this.#options.records.shared;
  }

  async #take(
    key: string,
    bodyHash: string,
    version: string | null,
  ): Promise<Claim | undefined> {
    const { records, now = Date.now, claimMs = CLAIM_MS } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#working.set(key, promise);
    const onEnd = () => {
      this.#working.delete(key);
      resolve();
    };
    try {
      const claim = new Claim({ records, now, claimMs, key, bodyHash, version, onEnd });
      if (await claim.take()) return claim;
    } catch (error) {
      onEnd();
      throw error;
    }
    onEnd();
    return undefined;
  }

  /** An outcome with all of its text; undefined when it was forgotten meanwhile. */
  async #whole(key: string, outcome: Outcome, parts: number): Promise<Outcome | undefined> {
    if ("code" in outcome) return isErrorCode(outcome.code) ? outcome : undefined;
    const texts = [outcome.body];
    for (let part = 1; part <= parts; part++) {
      const record = await this.#options.records.get(partKey(key, part));
      if (record === undefined) return undefined;
      texts.push(record.value);
    }
    return { ...outcome, body: texts.join("") };
  }
}

interface ClaimOptions extends Required<AnswerClaimsOptions> {
  readonly key: string;
  readonly bodyHash: string;
  /** What the record is claimed from. */
  readonly version: string | null;
  readonly onEnd: () => void;
}

function readRecord(value: string): ClaimRecord {
  return JSON.parse(value);
}

/** A key that this process works for. */
export class Claim {
  readonly #options: ClaimOptions;
  readonly #by = crypto.randomUUID();
  #version: string | null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #renewing: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(options: ClaimOptions) {
    this.#options = options;
    this.#version = options.version;
  }

  /** Takes the key; false when somebody else has. */
  async take(): Promise<boolean> {
    if (!await this.#write()) return false;
    const { claimMs } = this.#options;
    this.#timer = setInterval(() => this.#renew(), claimMs / RENEWALS);
    return true;
  }

  /**
   * Keeps the outcome, together with an effect where that is in the records too.
   *
   * @param outcome what came of the request
   * @param effect what is written in the same commit
   * @returns false when a check of the effect does not hold; the claim goes on then
   * @throws {LakeSyncError} `BACKPRESSURE` when the claim was lost; nothing is written then
   */
  async keep(outcome: Outcome, effect: RecordBatch = {}): Promise<boolean> {
    await this.#renewing;
    const { records, key } = this.#options;
    const version = this.#version;
    const kept = await records.commit({
      checks: [...effect.checks ?? [], { key, version }],
      set: [...effect.set ?? [], ...this.#kept(outcome)],
      remove: effect.remove ?? [],
    });
    if (kept) this.end();
    else if ((await records.get(key))?.version !== version) {
      this.end();
      throw new LakeSyncError(
        "BACKPRESSURE",
        "Another request with this Idempotency-Key has taken over, send it again",
      );
    }
    return kept;
  }

  /** Gives the key up without an outcome: the next request with it does the work. */
  async release(): Promise<void> {
    await this.#renewing;
    const { records, key } = this.#options;
    await records.commit({ checks: [{ key, version: this.#version }], remove: [key] });
    this.end();
  }

  /** Ends the claim of this process; what is written of it ends by itself. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd();
  }

  #renew(): void {
    this.#renewing = this.#renewing.then(() => this.#write()).catch((error) => {
      logger.warning("A claim of an Idempotency-Key could not be renewed: {error}", { error });
    });
  }

  async #write(): Promise<boolean> {
    const { records, now, claimMs, key, bodyHash } = this.#options;
    const record: ClaimRecord = { bodyHash, by: this.#by };
    const value = JSON.stringify(record);
    const taken = await records.commit({
      checks: [{ key, version: this.#version }],
      set: [{ key, value, expiresMs: now() + claimMs }],
    });
    if (!taken) return false;
    const written = await records.get(key);
    if (written?.value !== value) return false;
    this.#version = written.version;
    return true;
  }

  #kept(outcome: Outcome): readonly RecordWrite[] {
    const { now, key, bodyHash } = this.#options;
    const expiresMs = now() + ANSWER_KEEP_MS;
    if ("code" in outcome) {
      return [{ key, value: JSON.stringify({ bodyHash, outcome }), expiresMs }];
    }
    const [body = "", ...rest] = splitText(outcome.body);
    const record: ClaimRecord = { bodyHash, outcome: { ...outcome, body }, parts: rest.length };
    return [
      { key, value: JSON.stringify(record), expiresMs },
      // Later than the first, so that whoever finds that finds all.
      ...rest.map((value, index) => ({
        key: partKey(key, index + 1),
        value,
        expiresMs: expiresMs + 60_000,
      })),
    ];
  }
}

/** Whether an answer can be kept; a larger one is given and forgotten. */
export function canKeep(outcome: Outcome): boolean {
  return "code" in outcome || outcome.body.length <= MAX_KEPT_CHARS;
}

/** The parts of a text that go into records; none ends within a character. */
function splitText(text: string): readonly string[] {
  const parts: string[] = [];
  let at = 0;
  do {
    const length = parts.length === 0 ? FIRST_PART_CHARS : MAX_RECORD_VALUE_CHARS;
    const last = text.charCodeAt(at + length - 1);
    const end = at + (last >= 0xd800 && last < 0xdc00 ? length - 1 : length);
    parts.push(text.slice(at, end));
    at = end;
  } while (at < text.length);
  return parts;
}

function partKey(key: string, part: number): string {
  return `${key}/${part}`;
}

/** Waits until a time is over, something has ended or a signal aborts, whichever is first. */
async function pause(ms: number, signal: AbortSignal, until?: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const aborted = () => resolve();
  signal.addEventListener("abort", aborted, { once: true });
  await Promise.race(until === undefined ? [promise] : [promise, until]);
  clearTimeout(timer);
  signal.removeEventListener("abort", aborted);
}
