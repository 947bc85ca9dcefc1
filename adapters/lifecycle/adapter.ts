/**
 * What is young in one adapter, everything in another one. All is written to the hot adapter; the cold
 * one follows it. What is old enough and has arrived in the cold one for good is forgotten by the hot
 * one, so nothing is ever only on its way. Whoever reads sees both.
 *
 * @module
 */

import {
  type DatabaseAdapter,
  type DeltaPage,
  DestinationError,
  type DestinationKey,
  type FlushBatch,
  type FlushPosition,
  type Forget,
  type LatestState,
  type Move,
  type Place,
} from "../adapter.ts";
import { atOnce } from "../at_once.ts";
import { DelegateAdapter } from "../delegate.ts";
import { SYSTEM } from "../environment.ts";
import { type AdapterSource, adapterSource } from "../flush/adapter_source.ts";
import { Flusher } from "../flush/flusher.ts";
import type { FlushEnvironment, FlushSettings } from "../flush/settings.ts";
import type { FlushStatus } from "../flush/status.ts";
import { partedAfter } from "../flush/resume.ts";
import { within } from "../flush/wait.ts";
import { samePosition } from "../place.ts";
import { changesOfBoth, rowsOfBoth, scanBoth } from "./both.ts";
import { withForgottenRows } from "./bring_back.ts";
import { Turns } from "./turns.ts";

/** What a lifecycle is made of. */
export interface LifecycleOptions {
  /** Takes everything first, and keeps what is young. */
  readonly hot: DatabaseAdapter;
  /** Keeps everything. */
  readonly cold: DatabaseAdapter;
  /** For how long after its commit something is young, in milliseconds. */
  readonly hotMs: number;
  /** Whether the hot adapter forgets rows that have not changed for so long, not only changes. */
  readonly rows?: boolean;
  /** How often what is old is looked for, in milliseconds; 60,000 unless given. */
  readonly everyMs?: number;
  /** Its name, for status and log; that of the hot adapter unless given. */
  readonly name?: string;
  /** How the cold adapter is flushed to; its `everyMs` is 1,000 unless given. */
  readonly settings?: Partial<FlushSettings>;
  /** Time and chance; the runtime's unless given. */
  readonly env?: FlushEnvironment;
}

/** A lifecycle. */
export interface LifecycleAdapter extends DatabaseAdapter {
  /** How the cold adapter stands. */
  readonly cold: FlushStatus;
  /** Resolves when the cold adapter has what the hot one has now. */
  caughtUp(): Promise<void>;
  /** Lets the hot adapter forget now what is old and has arrived in the cold one. */
  move(): Promise<void>;
}

/**
 * Makes one adapter of a hot and a cold one. It owns them: they are closed with it.
 *
 * @param options which, and for how long
 *
 * @example
 * ```ts
 * import { lifecycleAdapter, memoryAdapter } from "@lakesync/adapters";
 *
 * const adapter = lifecycleAdapter({
 *   hot: memoryAdapter("hot"),
 *   cold: memoryAdapter("cold"),
 *   hotMs: 30 * 24 * 3_600_000,
 *   rows: true,
 * });
 * await adapter.close();
 * ```
 */
export function lifecycleAdapter(options: LifecycleOptions): LifecycleAdapter {
  return new Lifecycle(options);
}

const FOLLOW_EVERY_MS = 1_000;
const MOVE_EVERY_MS = 60_000;
const ANSWER_MS = 30_000;

class Lifecycle extends DelegateAdapter implements LifecycleAdapter {
  readonly #cold: DatabaseAdapter;
  readonly #options: LifecycleOptions;
  readonly #env: FlushEnvironment;
  readonly #source: AdapterSource;
  readonly #flusher: Flusher;
  /** Writing and forgetting take turns, so that nothing is forgotten by what is no longer so. */
  readonly #turns = new Turns();
  #stopTimer = () => {};
  #isClosed = false;
  #moving: Promise<void> = Promise.resolve();
  /** Whether the cold adapter lost what the hot one has forgotten. */
  #lacks = false;

  constructor(options: LifecycleOptions) {
    const { hot, cold, name = hot.name, env = SYSTEM, settings } = options;
    super(name, hot);
    this.#options = options;
    this.#cold = cold;
    this.#env = env;
    this.#source = adapterSource(hot);
    this.#flusher = new Flusher({
      source: this.#guarded(),
      destination: cold,
      env,
      settings: { everyMs: FOLLOW_EVERY_MS, ...settings },
    });
    this.#schedule();
  }

  get cold(): FlushStatus {
    return this.#flusher.status;
  }

  override get followers(): readonly FlushStatus[] {
    return [...super.followers, this.cold, ...this.#cold.followers ?? []];
  }

  caughtUp(): Promise<void> {
    return this.#flusher.flushNow();
  }

  override async position(): Promise<FlushPosition | undefined> {
    return this.#shown(await this.inner.position());
  }

  override insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#writing(batch, async (move) => {
      const whole = await withForgottenRows(this.inner, this.#cold, { ...batch, ...move });
      await this.inner.insertDeltas(whole);
    });
  }

  override rewind(move: Move): Promise<void> {
    return this.#writing(move, async ({ from, to }) => {
      const forgotten = await this.inner.forgottenSeq();
      if (forgotten <= to.seq) return await this.inner.rewind({ from, to });
      // What has been forgotten cannot be unsettled: the hot adapter is to be filled anew.
      const floor = Math.max(to.floor ?? 0, forgotten);
      await this.inner.rewind({ from, to: { ...to, floor } });
      throw new DestinationError("now", `${this.name} is to be filled, ask for the position`);
    });
  }

  override refill(move: Move): Promise<void> {
    return this.#writing(move, async (own) => {
      await this.inner.refill(own);
      this.#lacks = false;
    });
  }

  override queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    return changesOfBoth(this.inner, this.#cold, after, limit);
  }

  override getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    return rowsOfBoth(this.inner, this.#cold, keys);
  }

  override scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    return scanBoth(this.inner, this.#cold, after, limit);
  }

  /** Forgets in both, as far as the cold adapter has come. */
  override async forget(what: Forget): Promise<boolean> {
    // Until all of its rows are set, nobody can follow the hot adapter.
    if ((await this.inner.unsettled(1)).length > 0) return false;
    const late = () => new DestinationError("later", `${this.#cold.name} is behind, try again`);
    await within(this.#flusher.flushNow(), ANSWER_MS, this.#env.setTimer, late);
    return await this.#turns.take(async () => {
      const arrived = await this.#arrived();
      const throughSeq = Math.min(what.throughSeq, arrived);
      const all = [this.inner, this.#cold];
      const more = await atOnce(all.map((each) => () => each.forget({ ...what, throughSeq })));
      return more.includes(true);
    });
  }

  override forgottenSeq(): Promise<number> {
    return this.#cold.forgottenSeq();
  }

  async move(): Promise<void> {
    const { hotMs, rows = false } = this.#options;
    let more = true;
    while (more && !this.#isClosed) {
      more = await this.#turns.take(async () => {
        const throughSeq = await this.#arrived();
        const committedBeforeMs = this.#env.now() - hotMs;
        return throughSeq > 0 && await this.inner.forget({ committedBeforeMs, throughSeq, rows });
      });
    }
  }

  override async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTimer();
    await atOnce([this.#flusher, this.#cold].map((each) => () => each.close()));
    await this.#moving;
    await this.inner.close();
  }

  /** The commit up to which the cold adapter has everything, rows included; 0 when not known. */
  async #arrived(): Promise<number> {
    const [hot, cold] = await Promise.all([this.inner.position(), this.#cold.position()]);
    if (hot === undefined || cold === undefined || cold.filled !== undefined) return 0;
    const isOn = cold.seq <= hot.seq && partedAfter(hot.lives, cold) === cold.seq;
    if (!isOn || (await this.#cold.unsettled(1)).length > 0) return 0;
    return cold.slice === undefined ? cold.seq : cold.seq - 1;
  }

  /** What the cold adapter follows: it must not be filled from less than everything. */
  #guarded(): AdapterSource {
    const source = this.#source;
    return {
      ...source,
      // The spread has the schema of this moment only.
      get schema() {
        return source.schema;
      },
      read: async (after, limit) => {
        const page = await source.read(after, limit);
        if (!page.trimmed) return page;
        const [position, forgotten] = await Promise.all([
          this.inner.position(),
          this.inner.forgottenSeq(),
        ]);
        if ((position?.floor ?? 0) >= forgotten) return page;
        this.#lacks = true;
        throw new DestinationError(
          "later",
          `${this.#cold.name} lost what ${this.inner.name} has forgotten, both are filled anew`,
        );
      },
    };
  }

  /** A position from which a flusher fills the hot adapter anew, when the cold one lost something. */
  #shown(position: FlushPosition | undefined): FlushPosition | undefined {
    if (!this.#lacks || position === undefined || position.filled !== undefined) return position;
    return { ...position, floor: position.seq + 1 };
  }

  /** Writes in turn, from where the hot adapter really stands. */
  async #writing<T extends Move>(
    move: T,
    write: (move: Move) => Promise<void>,
  ): Promise<void> {
    try {
      await this.#turns.take(async () => {
        if (!this.#lacks) return await write({ from: move.from, to: move.to });
        const from = await this.inner.position();
        if (!samePosition(this.#shown(from), move.from)) {
          throw new DestinationError("now", `${this.name} is to be filled, ask for the position`);
        }
        await write({ from, to: move.to });
      });
    } finally {
      this.#source.tell({ seq: move.to.seq });
    }
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#stopTimer = this.#env.setTimer(this.#options.everyMs ?? MOVE_EVERY_MS, () => {
      this.#moving = this.move()
        .catch((error) => this.#env.onError?.(`Moving out of ${this.name} failed`, error))
        .finally(() => this.#schedule());
    });
  }
}
