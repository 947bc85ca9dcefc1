/**
 * Answers that are kept for requests with an `Idempotency-Key`, in the records of the server. Who
 * comes first claims the key, does the work and keeps the answer; who comes meanwhile waits for it,
 * in another process too. A claim ends by itself, so that a process that died blocks nobody for
 * long, and is renewed while its work goes on; where there is one process, it ends with that. What
 * the answers of a user take is bounded, and those of all users.
 *
 * @module
 */

import { type ErrorCode, type ErrorDetails, isErrorCode, LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import {
  MAX_RECORD_BATCH_ITEMS,
  MAX_RECORD_VALUE_CHARS,
  type RecordBatch,
  type RecordStore,
  type RecordWrite,
} from "../store/records.ts";
import { type AnswerBytes, checkRooms, readRooms } from "./idempotency_rooms.ts";

const logger = getLogger(["lakesync", "http"]);

/** How long an answer is kept, in milliseconds. */
export const ANSWER_KEEP_MS: number = 24 * 60 * 60 * 1000;
/** How long a claim holds unless it is renewed, in milliseconds. */
const CLAIM_MS = 10_000;
const RENEWALS = 3;
/** How long a wait is before it looks again, in milliseconds. */
const LOOK_AGAIN_MS = { first: 10, most: 250 } as const;
/** What kept answers may take, in bytes. */
export const ANSWER_MAX_BYTES: AnswerBytes = { user: 64 * 1024 * 1024, all: 256 * 1024 * 1024 };
/** Parts of an answer that are written in one commit, before that of the answer. */
const PARTS_AT_ONCE = 9;
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
  /** What kept answers may take, in bytes; {@linkcode ANSWER_MAX_BYTES} unless given. */
  readonly maxBytes?: AnswerBytes;
}

interface ClaimRecord {
  readonly bodyHash: string;
  /** Who holds it, or has; parts are under this name. */
  readonly by: string;
  readonly outcome?: Outcome;
  /** How many further records have the rest of its text. */
  readonly parts?: number;
}

/** The keys of a server's requests. */
export class AnswerClaims {
  readonly #options: Required<AnswerClaimsOptions>;
  /** The work of this process, by key. */
  readonly #working = new Map<string, Promise<void>>();
  /** Ends when no answer is being counted: those of one process are counted one after the other. */
  #counting: Promise<unknown> = Promise.resolve();

  constructor(options: AnswerClaimsOptions) {
    this.#options = {
      now: Date.now,
      claimMs: CLAIM_MS,
      maxBytes: ANSWER_MAX_BYTES,
      ...options,
    };
  }

  /**
   * Claims a key, or finds what came of it; waits for whoever has claimed it.
   *
   * @param key names the request
   * @param user whose answers it counts to, a text that fits into a key
   * @param bodyHash tells what it asks for
   * @param signal gives up
   * @returns the outcome that is kept, or the claim: to be kept or released, and ended in any case
   * @throws {LakeSyncError} `IDEMPOTENCY_MISMATCH`; `RATE_LIMITED` or `BACKPRESSURE` when there is
   * no room for another answer; the reason of the signal
   */
  async begin(
    key: string,
    user: string,
    bodyHash: string,
    signal: AbortSignal,
  ): Promise<Outcome | Claim> {
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
        const outcome = await this.#whole(key, kept, kept.outcome);
        if (outcome !== undefined) return outcome;
      } else if (this.#isFree(key, kept)) {
        const { now, maxBytes } = this.#options;
        await checkRooms(records, user, now(), maxBytes);
        const claim = await this.#take(key, user, bodyHash, record?.version ?? null);
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
    user: string,
    bodyHash: string,
    version: string | null,
  ): Promise<Claim | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#working.set(key, promise);
    const onEnd = () => {
      this.#working.delete(key);
      resolve();
    };
    try {
      const inTurn = <T>(count: () => Promise<T>) => this.#inTurn(count);
      const claim = new Claim({ ...this.#options, key, user, bodyHash, version, onEnd, inTurn });
      if (await claim.take()) return claim;
    } catch (error) {
      onEnd();
      throw error;
    }
    onEnd();
    return undefined;
  }

  /** An outcome with all of its text; undefined when it was forgotten meanwhile. */
  async #whole(
    key: string,
    { by, parts = 0 }: ClaimRecord,
    outcome: Outcome,
  ): Promise<Outcome | undefined> {
    if ("code" in outcome) return isErrorCode(outcome.code) ? outcome : undefined;
    const texts = [outcome.body];
    for (let part = 1; part <= parts; part++) {
      const record = await this.#options.records.get(partKey(key, by, part));
      if (record === undefined) return undefined;
      texts.push(record.value);
    }
    return { ...outcome, body: texts.join("") };
  }

  #inTurn<T>(count: () => Promise<T>): Promise<T> {
    const done = this.#counting.then(count);
    this.#counting = done.catch(() => {});
    return done;
  }
}

interface ClaimOptions extends Required<AnswerClaimsOptions> {
  readonly key: string;
  readonly user: string;
  readonly bodyHash: string;
  /** What the record is claimed from. */
  readonly version: string | null;
  readonly onEnd: () => void;
  readonly inTurn: <T>(count: () => Promise<T>) => Promise<T>;
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
    this.#startRenewing();
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
    const { records, key, inTurn } = this.#options;
    const [answer, ...parts] = this.#kept(outcome);
    const text = [answer, ...parts].map(({ value }) => value).join("");
    for (let at = 0; at < parts.length; at += PARTS_AT_ONCE) {
      await records.commit({ set: parts.slice(at, at + PARTS_AT_ONCE) });
    }
    clearInterval(this.#timer);
    await this.#renewing;
    const kept = await inTurn(() => this.#commit(answer, text, effect));
    if (kept) {
      this.end();
      return true;
    }
    await removeAll(records, parts);
    if ((await records.get(key))?.version === this.#version) {
      this.#startRenewing();
      return false;
    }
    this.end();
    throw new LakeSyncError(
      "BACKPRESSURE",
      "Another request with this Idempotency-Key has taken over, send it again",
    );
  }

  /** Commits an answer, its effect, and what answers take then; false when a check does not hold. */
  async #commit(answer: RecordWrite, text: string, effect: RecordBatch): Promise<boolean> {
    const { records, key, user, now } = this.#options;
    for (;;) {
      const rooms = await readRooms(records, user, now());
      const counts = rooms.map(({ key, room }) => {
        const expiresMs = room.add(text, now() + ANSWER_KEEP_MS, ANSWER_KEEP_MS);
        return { key, value: room.text, expiresMs };
      });
      const kept = await records.commit({
        checks: [
          ...effect.checks ?? [],
          { key, version: this.#version },
          ...rooms.map(({ key, version }) => ({ key, version })),
        ],
        set: [...effect.set ?? [], answer, ...counts],
        remove: effect.remove ?? [],
      });
      if (kept) return true;
      const read = await Promise.all(rooms.map(({ key }) => records.get(key)));
      // Another process has kept an answer meanwhile, which is no reason to give up.
      if (read.every((record, i) => (record?.version ?? null) === rooms[i]?.version)) return false;
    }
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

  #startRenewing(): void {
    const { claimMs } = this.#options;
    this.#timer = setInterval(() => this.#renew(), claimMs / RENEWALS);
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

  #kept(outcome: Outcome): readonly [RecordWrite, ...RecordWrite[]] {
    const { now, key, bodyHash } = this.#options;
    const expiresMs = now() + ANSWER_KEEP_MS;
    if ("code" in outcome) {
      const record: ClaimRecord = { bodyHash, by: this.#by, outcome };
      return [{ key, value: JSON.stringify(record), expiresMs }];
    }
    const [body = "", ...rest] = splitText(outcome.body);
    const record: ClaimRecord = {
      bodyHash,
      by: this.#by,
      outcome: { ...outcome, body },
      parts: rest.length,
    };
    return [
      { key, value: JSON.stringify(record), expiresMs },
      // Later than the first, so that whoever finds that finds all.
      ...rest.map((value, index) => ({
        key: partKey(key, this.#by, index + 1),
        value,
        expiresMs: expiresMs + 60_000,
      })),
    ];
  }
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

function partKey(key: string, by: string, part: number): string {
  return `${key}/${by}/${part}`;
}

async function removeAll(records: RecordStore, writes: readonly RecordWrite[]): Promise<void> {
  for (let at = 0; at < writes.length; at += MAX_RECORD_BATCH_ITEMS) {
    const some = writes.slice(at, at + MAX_RECORD_BATCH_ITEMS);
    await records.commit({ remove: some.map(({ key }) => key) });
  }
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
