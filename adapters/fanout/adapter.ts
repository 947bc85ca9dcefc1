/**
 * One adapter that counts, and others that follow it. A secondary keeps a position of its own and is
 * brought on by a flusher of its own, from what the primary holds; it may be out of reach for as long
 * as it likes, delays nobody, and lacks nothing when it is back.
 *
 * @module
 */

import type { DatabaseAdapter, FlushBatch, Forget, Move } from "../adapter.ts";
import { atOnce } from "../at_once.ts";
import { DelegateAdapter } from "../delegate.ts";
import { SYSTEM } from "../environment.ts";
import { type AdapterSource, adapterSource } from "../flush/adapter_source.ts";
import { Flusher } from "../flush/flusher.ts";
import type { FlushEnvironment, FlushSettings } from "../flush/settings.ts";
import type { FlushStatus } from "../flush/status.ts";
import { forgetBehind } from "./forget.ts";

/** What a fan-out is made of. */
export interface FanOutOptions {
  /** The one that counts: a flush has arrived when it is there. */
  readonly primary: DatabaseAdapter;
  /** Those that follow. */
  readonly secondaries: readonly DatabaseAdapter[];
  /** Its name, for status and log; that of the primary unless given. */
  readonly name?: string;
  /** How secondaries are flushed to; `everyMs` is 1,000 unless given. */
  readonly settings?: Partial<FlushSettings>;
  /** Time and chance; the runtime's unless given. */
  readonly env?: FlushEnvironment;
}

/** A fan-out. */
export interface FanOutAdapter extends DatabaseAdapter {
  /** How each secondary stands, in the order they were given. */
  readonly secondaries: readonly FlushStatus[];
  /**
   * Resolves when every secondary has what the primary has now.
   *
   * @throws {LakeSyncError} `DRAINING` when the fan-out is closed first
   */
  caughtUp(): Promise<void>;
}

/**
 * Makes one adapter of one that counts and others that follow. It owns them: they are closed with it.
 *
 * @param options which counts and which follow
 *
 * @example
 * ```ts
 * import { fanOutAdapter, memoryAdapter } from "@lakesync/adapters";
 *
 * const adapter = fanOutAdapter({
 *   primary: memoryAdapter("main"),
 *   secondaries: [memoryAdapter("reports")],
 * });
 * await adapter.caughtUp();
 * console.assert(adapter.secondaries[0]?.lagCommits === 0);
 * await adapter.close();
 * ```
 */
export function fanOutAdapter(options: FanOutOptions): FanOutAdapter {
  return new FanOut(options);
}

/** Secondaries gather what comes within so long, in milliseconds. */
const EVERY_MS = 1_000;

class FanOut extends DelegateAdapter implements FanOutAdapter {
  readonly #source: AdapterSource;
  readonly #env: FlushEnvironment;
  readonly #secondaries: readonly DatabaseAdapter[];
  readonly #flushers: readonly Flusher[];
  #forgetting: Promise<unknown> | undefined;

  constructor({ primary, secondaries, name, settings, env = SYSTEM }: FanOutOptions) {
    super(name ?? primary.name, primary);
    this.#env = env;
    this.#secondaries = secondaries;
    this.#source = adapterSource(primary);
    this.#flushers = secondaries.map((destination) =>
      new Flusher({
        source: this.#source,
        destination,
        env,
        settings: { everyMs: EVERY_MS, ...settings },
      })
    );
  }

  get secondaries(): readonly FlushStatus[] {
    return this.#flushers.map(({ status }) => status);
  }

  override get followers(): readonly FlushStatus[] {
    const theirs = this.#secondaries.flatMap(({ followers = [] }) => followers);
    return [...super.followers, ...this.secondaries, ...theirs];
  }

  async caughtUp(): Promise<void> {
    await atOnce(this.#flushers.map((flusher) => () => flusher.flushNow()));
  }

  override insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#telling(batch, () => this.inner.insertDeltas(batch));
  }

  override rewind(move: Move): Promise<void> {
    return this.#telling(move, () => this.inner.rewind(move));
  }

  override refill(move: Move): Promise<void> {
    return this.#telling(move, () => this.inner.refill(move));
  }

  /** Forgets in the primary; the secondaries follow, as far as they have come. */
  override async forget(what: Forget): Promise<boolean> {
    const more = await this.inner.forget(what);
    this.#forgetting ??= this.#forgetBehind(what);
    return more;
  }

  override async close(): Promise<void> {
    // What is under way in a secondary that does not answer ends with the secondary.
    await atOnce([...this.#flushers, ...this.#secondaries].map((each) => () => each.close()));
    await this.inner.close();
    await this.#forgetting;
  }

  /** Tells the secondaries after a write, also after one that failed: it may have been written. */
  async #telling(move: Move, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } finally {
      this.#source.tell({ seq: move.to.seq });
    }
  }

  async #forgetBehind(what: Forget): Promise<void> {
    await Promise.all(this.#secondaries.map(async (secondary) => {
      try {
        await forgetBehind(secondary, what);
      } catch (error) {
        this.#env.onError?.(`Forgetting in ${secondary.name} failed, it is tried again`, error);
      }
    }));
    this.#forgetting = undefined;
  }
}
