/**
 * How much the answers take that are kept for an Idempotency-Key: of each user, and of all. Both
 * are bounded, so a push whose answer has no room is refused before it has an effect, instead of
 * forgetting an answer that was promised (G11). What they take is counted along with the commits,
 * in the same commits, by the time at which it is free again; so nothing is to be counted when
 * answers are swept.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { Store, Writes } from "../store/store.ts";
import { type GatewayEnvironment, retentionOf } from "./environment.ts";

/** What a kept answer takes beside its text: key, hash of the body, indexes; in bytes. */
const ANSWER_BASE_BYTES = 400;

/** Answers that were kept at about the same time are counted together: so many counts a keeping. */
const COUNTS = 24;

/** The count of the whole gateway; those of users have the hash of their name after it. */
const META = "answers";

/** Hex digits of a user's hash. */
const HASH_DIGITS = 32;

const encoder = new TextEncoder();

/** Bytes of answers, and when they are free again, in milliseconds since 1970. */
type Count = readonly [freeMs: number, bytes: number];

/** How much the kept answers of somebody take. */
export class AnswerRoom {
  #counts: readonly Count[];

  /**
   * @param text what {@linkcode text} gave, undefined when nothing was kept
   * @param nowMs the time, in milliseconds since 1970
   */
  constructor(text: string | undefined, nowMs: number) {
    const counts: readonly Count[] = text === undefined ? [] : JSON.parse(text);
    this.#counts = counts.filter(([freeMs]) => freeMs > nowMs);
  }

  /** What they take, in bytes. */
  get bytes(): number {
    return this.#counts.reduce((sum, [, bytes]) => sum + bytes, 0);
  }

  /** The count as it is kept. */
  get text(): string {
    return JSON.stringify(this.#counts);
  }

  /**
   * When there is room for another answer.
   *
   * @param maxBytes what they may take
   * @returns the time, in milliseconds since 1970; undefined: there is room
   */
  fullUntil(maxBytes: number): number | undefined {
    let { bytes } = this;
    let fullUntil: number | undefined;
    for (const [freeMs, freed] of this.#counts) {
      if (bytes < maxBytes) break;
      bytes -= freed;
      fullUntil = freeMs;
    }
    return fullUntil;
  }

  /**
   * Counts an answer.
   *
   * @param answer its text
   * @param expiresMs until when it is kept, in milliseconds since 1970
   * @param keepMs how long answers are kept, in milliseconds
   * @returns when nothing of what is counted is kept any more, in milliseconds since 1970
   */
  add(answer: string, expiresMs: number, keepMs: number): number {
    const stepMs = Math.max(1, Math.ceil(keepMs / COUNTS));
    const freeMs = (Math.floor(expiresMs / stepMs) + 1) * stepMs;
    const bytes = ANSWER_BASE_BYTES + encoder.encode(answer).length;
    const counts = new Map(this.#counts);
    counts.set(freeMs, (counts.get(freeMs) ?? 0) + bytes);
    this.#counts = [...counts].sort(([a], [b]) => a - b);
    return Math.max(...counts.keys());
  }
}

/** The room of a gateway and of the users whose pushes are committed together. */
export class AnswerRooms {
  readonly #changed = new Set<string>();

  private constructor(
    readonly env: GatewayEnvironment,
    readonly rooms: ReadonlyMap<string, AnswerRoom>,
  ) {}

  /**
   * Reads how much is kept.
   *
   * @param store keeps the counts
   * @param env the clock, and the bounds
   * @param subs the users who push with an Idempotency-Key; nothing is read for none
   */
  static async load(
    store: Pick<Store, "readMeta">,
    env: GatewayEnvironment,
    subs: readonly string[],
  ): Promise<AnswerRooms> {
    const rooms = new Map<string, AnswerRoom>();
    const names = new Set(subs.map((sub) => nameOf(env, sub)));
    for (const name of names.size === 0 ? [] : [META, ...names]) {
      rooms.set(name, new AnswerRoom(await store.readMeta(name), env.now()));
    }
    return new AnswerRooms(env, rooms);
  }

  /**
   * Refuses a push whose answer has no room.
   *
   * @throws {LakeSyncError} `RATE_LIMITED` when the user has kept too much, `BACKPRESSURE` when all
   * have together
   */
  check(sub: string): void {
    const { answerMaxBytes, answerMaxUserBytes } = retentionOf(this.env);
    const own = this.rooms.get(nameOf(this.env, sub))?.fullUntil(answerMaxUserBytes);
    const what = "with an Idempotency-Key, send it later, or without: a push is safe by its" +
      " mutationIds";
    if (own !== undefined) {
      const message = `The kept answers of this user take ${answerMaxUserBytes} bytes, no more` +
        ` pushes ${what}`;
      throw new LakeSyncError("RATE_LIMITED", message, this.#retry(own));
    }
    const all = this.rooms.get(META)?.fullUntil(answerMaxBytes);
    if (all === undefined) return;
    const message = `The kept answers of the gateway take ${answerMaxBytes} bytes, no more` +
      ` pushes ${what}`;
    throw new LakeSyncError("BACKPRESSURE", message, this.#retry(all));
  }

  /** Counts an answer that is kept. */
  add(sub: string, answer: string, expiresMs: number): void {
    const { answerKeepMs } = retentionOf(this.env);
    for (const name of [META, nameOf(this.env, sub)]) {
      this.rooms.get(name)?.add(answer, expiresMs, answerKeepMs);
      this.#changed.add(name);
    }
  }

  /** The counts that changed, to be written with the answers. */
  meta(): NonNullable<Writes["meta"]> {
    return [...this.#changed].map((name) => [name, this.rooms.get(name)?.text ?? null]);
  }

  #retry(untilMs: number): { readonly retryAfterSeconds: number } {
    return { retryAfterSeconds: Math.max(1, Math.ceil((untilMs - this.env.now()) / 1000)) };
  }
}

function nameOf({ hash }: GatewayEnvironment, sub: string): string {
  return `${META}/${hash(sub).slice(0, HASH_DIGITS)}`;
}
