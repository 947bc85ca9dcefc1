/**
 * The one writer of a gateway. Requests wait in a queue; while one group is on its way to the disk
 * the next one gathers, so that many pushes share one durable commit. Every answer comes after it.
 *
 * @module
 */

import {
  createClock,
  type Hlc,
  type HybridClock,
  LakeSyncError,
  parseHlc,
  type PushRequest,
  type PushResult,
  type Rejection,
  type SchemaSpec,
  type Stop,
  ZERO_HLC,
} from "@lakesync/core";
import type {
  BucketRecord,
  ClientRecord,
  KeptAnswer,
  ReadView,
  RowWrite,
  Store,
  Writes,
} from "../store/store.ts";
import { AnswerRooms } from "./answer_rooms.ts";
import { type Base, baseWrites, loadBase, markDay, readBase } from "./base.ts";
import { Catalog } from "./catalog.ts";
import { keepVersions, seen } from "./census.ts";
import { CursorSeal } from "./cursor_seal.ts";
import { refusalsOf } from "./clients.ts";
import { type Edit, EDITS_META, withEdit } from "./edits.ts";
import { type GatewayEnvironment, retentionOf } from "./environment.ts";
import type { Caller, CommitListener, Idempotency, PushOutcome } from "./gateway.ts";
import { Group, type Verdict } from "./group.ts";
import { withLife } from "./lives.ts";
import { LookupCache } from "./lookups.ts";
import { RuleBook } from "./rule_book.ts";
import { EVERY_TABLE, reachOf, sameReach, type TableNames } from "./table_reach.ts";
import { RulesChanged } from "./scope.ts";
import { commitInSteps, needsSteps } from "./steps.ts";
import { GROUP_WEIGHT, weightOfAll } from "./weight.ts";

/** After so many turns of the event loop without another push a group is taken. */
const QUIET_TURNS = 3;

/** With so many pushes waiting a group is taken at once. */
const GATHER_PUSHES = 256;

/** After so many milliseconds a group is taken, for where turns are long each brings a push. */
const GATHER_MS = 5;

/** How many deltas may wait before pushes are turned away. */
const MAX_QUEUED_DELTAS = 200_000;

/** A push that waits for its commit. */
export interface PushJob {
  /** Who sent it. */
  readonly caller: Caller;
  /** What to commit. */
  readonly request: PushRequest;
  /** How to keep its answer. */
  readonly idempotency: Idempotency | undefined;
  /** What the kept answer is for, when `request` is only its last step. */
  readonly whole?: PushRequest;
  /** Takes it out of the queue again; a commit that has begun goes on. */
  readonly signal?: AbortSignal | undefined;
}

interface Queued {
  /** Deltas it brings. */
  readonly deltas: number;
  /** What they weigh, for the size of a group. */
  readonly weight: number;
  /** A push, or a step that runs alone between groups. */
  readonly work: PushJob | (() => Promise<void>);
  readonly settle: (outcome: PushOutcome | LakeSyncError) => void;
  /** Takes it out of the queue again. */
  readonly signal?: AbortSignal | undefined;
}

/** What happened to a gateway, as the committer's owner is told. */
export type Committed = Parameters<CommitListener>[0];

/** So many buckets of one commit are remembered for the next. */
const MAX_RECENT = 256;

/** A commit is tried so often when other processes commit first. */
const MAX_ATTEMPTS = 8;

/** The name of the record that holds the secret of the gateway's cursors. */
const CURSOR_META = "cursor";

/** What a commit touched. */
export type Touched = Omit<Committed, "seq">;

/** What a gateway is told of after a commit that changed no rows. */
const NOTHING: Touched = { buckets: new Set(), clientIds: new Set() };

/** What a gateway is told of when its rules or its schema are others. */
const EVERYTHING: Touched = { ...NOTHING, everything: true };

/** The one writer of a gateway. */
export class Committer {
  readonly store: Store;
  readonly env: GatewayEnvironment;
  /** The gateway's hybrid clock, at least every stamp it has judged near enough. */
  readonly clock: HybridClock;
  /** What parameters looked up. */
  readonly lookups: LookupCache = new LookupCache();
  /** Seals cursors. */
  readonly seal: CursorSeal;
  #life: string;
  /** What the next commit goes by; undefined when it has to be read. */
  #base: Base | undefined;
  /** The newest that is known; of a shared store it may be newer than what a commit goes by. */
  #newest: Base;
  /** Whoever listens was told of all commits through this one. */
  #toldSeq: number;
  /** The records of the buckets that the last commit changed, by id and by number. */
  readonly #recent = new Map<string | number, BucketRecord>();
  readonly #queue: Queued[] = [];
  #running: Promise<void> | undefined;
  #closed = false;
  readonly #onCommitted: (committed: Committed) => void;

  private constructor(
    store: Store,
    env: GatewayEnvironment,
    base: Base,
    onCommitted: (committed: Committed) => void,
    seal: CursorSeal,
  ) {
    this.store = store;
    this.seal = seal;
    this.env = env;
    this.#base = base;
    this.#newest = base;
    this.#toldSeq = base.head.seq;
    this.clock = createClock(env.now, headHlc(base));
    this.#onCommitted = onCommitted;
    this.#life = env.randomId();
  }

  /** Opens the writer of a store. */
  static async open(
    store: Store,
    env: GatewayEnvironment,
    onCommitted: (committed: Committed) => void,
  ): Promise<Committer> {
    const seal = new CursorSeal(await cursorSecret(store, env));
    return new Committer(store, env, await loadBase(store), onCommitted, seal);
  }

  /** The life that begins with this process's first commit. */
  get life(): string {
    return this.#life;
  }

  /** The newest schema with its numbers, once there is one. */
  get catalog(): Catalog | undefined {
    return this.#newest.catalog;
  }

  /** The newest lives. */
  get lives(): Base["lives"] {
    return this.#newest.lives;
  }

  /** The gateway's own records, as a commit goes by them; read anew after a commit failed. */
  async base(): Promise<Base> {
    if (this.#base !== undefined) return this.#base;
    const base = await loadBase(this.store, this.#newest);
    if (this.#base !== undefined) return this.#base;
    // The data was put back to a copy under this process, which goes on in another life.
    if (base.head.seq < this.#newest.head.seq) this.#life = this.env.randomId();
    // Another process may have accepted greater stamps, and the head must never go back.
    this.clock.receive(headHlc(base));
    this.#newest = base;
    this.#base = base;
    return base;
  }

  /** The gateway's own records as readers need them: no older than other processes' last commit. */
  async current(): Promise<Base> {
    if (!this.#isShared) return await this.base();
    const { seq } = await this.store.head();
    if (seq === this.#newest.head.seq) {
      // It may have been read for a commit that was none in the end.
      this.#tellOthers(this.#newest);
      return this.#newest;
    }
    const seen = await loadBase(this.store, this.#newest);
    if (seen.head.seq >= this.#newest.head.seq) this.#newest = seen;
    this.#tellOthers(seen);
    return seen;
  }

  /**
   * What a snapshot is read by: the records as they are in it.
   *
   * @param view the snapshot
   * @param known what a reader was given before
   * @throws {RulesChanged} when schema or rules are others than those it was given
   */
  async basis(view: ReadView, known: Base): Promise<Base> {
    const isSame = view.head.seq === known.head.seq;
    if (this.#isShared) {
      const base = isSame ? known : await readBase(view, known);
      if (base.catalog !== known.catalog || base.book !== known.book) throw new RulesChanged();
      return base;
    }
    const { book } = this.#base ?? {};
    if (book?.active !== known.book?.active || this.#base === undefined) throw new RulesChanged();
    // A head may be read before its commit has been taken in here.
    return isSame ? known : { ...known, head: view.head, lives: this.livesAfter(known) };
  }

  get #isShared(): boolean {
    return this.store.capabilities.shared;
  }

  /** Tells whoever listens that other processes have committed. */
  #tellOthers({ head: { seq } }: Base): void {
    if (seq === this.#toldSeq) return;
    this.#toldSeq = seq;
    this.#onCommitted({ seq, ...EVERYTHING });
  }

  /** Lets the next commit go by what other processes have committed. */
  async #refresh(): Promise<void> {
    if (!this.#isShared || this.#base === undefined) return;
    const { seq } = await this.store.head();
    if (seq !== this.#base.head.seq) this.#base = undefined;
  }

  /** The lives once this process has committed. */
  livesAfter({ lives, head }: Base): Base["lives"] {
    return withLife(lives, this.#life, head.seq);
  }

  /**
   * The records after a commit that changes no rows. In a shared store it has a seq, since other
   * processes notice by the head that it came before theirs.
   */
  quiet(before: Base): Base {
    if (!this.#isShared) return before;
    const head = { ...before.head, seq: before.head.seq + 1 };
    return { ...before, head, lives: this.livesAfter(before) };
  }

  /**
   * Commits small records that are not the gateway's own; must run {@linkcode Committer.alone}.
   *
   * @param before the records before it, read before what the commit replaces
   * @param writes what to write
   * @param touched whom it concerns, if anyone
   */
  async note(before: Base, writes: Writes, touched?: Touched): Promise<void> {
    const after = this.quiet(before);
    const own = baseWrites(before, after);
    await this.guarded(() =>
      this.store.commit({
        ...writes,
        expectedSeq: before.head.seq,
        head: after.head,
        meta: [...writes.meta ?? [], ...own.meta ?? []],
      })
    );
    if (after !== before || touched !== undefined) {
      this.published(after, touched ?? NOTHING, before);
    }
  }

  /** Commits a push with others that wait. */
  push(job: PushJob): Promise<PushOutcome> {
    const deltas = job.request.transactions.reduce(
      (sum, { deltas }) => sum + deltas.length,
      0,
    );
    const weight = job.request.transactions.reduce(
      (sum, { deltas }) => sum + weightOfAll(deltas),
      0,
    );
    return new Promise((resolve, reject) => {
      const settle = (outcome: PushOutcome | LakeSyncError) => {
        if (outcome instanceof LakeSyncError) reject(outcome);
        else resolve(outcome);
      };
      const work = needsSteps(job.request, weight)
        ? () => this.#settled(() => commitInSteps(this, job)).then(settle)
        : job;
      this.#enqueue({ deltas, weight, work, settle, signal: job.signal }, reject);
    });
  }

  async #settled(
    work: () => Promise<PushOutcome>,
  ): Promise<PushOutcome | LakeSyncError> {
    try {
      return await work();
    } catch (error) {
      return this.#failure("A commit failed", error);
    }
  }

  /** Runs a step alone, between two groups. */
  alone<T>(step: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const work = () => step().then(resolve, reject);
      this.#enqueue({ deltas: 0, weight: 0, work, settle: reject }, reject);
    });
  }

  /** Stores a schema; must run {@linkcode Committer.alone}. */
  async putSchema(input: unknown, force: boolean): Promise<SchemaSpec> {
    const before = await this.base();
    const current = before.catalog;
    if (current !== undefined && sameSchema(current, input)) return current.schema.spec;
    const sinceMs = this.env.now() - retentionOf(this.env).logKeepMs;
    const next = Catalog.next(current, input, { census: before.census, sinceMs, force });
    const { book, horizonSeq } = current === undefined || before.book === undefined
      ? { book: RuleBook.open(next), horizonSeq: 0 }
      : before.book.under(current, next);
    const after: Base = {
      ...this.quiet(before),
      catalog: next,
      book,
      horizonSeq: Math.max(before.horizonSeq, horizonSeq),
      // A version is in use from the day it was put: apps that have it are on their way.
      census: seen(keepVersions(before.census, next.versions), next.schema.version, this.env.now()),
    };
    const edits = withEdit(
      await this.store.readMeta(EDITS_META),
      { kind: "schema", seq: before.head.seq, ms: this.env.now(), spec: next.schema.spec },
      current === undefined,
    );
    await this.guarded(() =>
      this.store.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        meta: [...baseWrites(before, after).meta ?? [], [EDITS_META, edits]],
      })
    );
    this.published(after, EVERYTHING, before);
    return next.schema.spec;
  }

  /** Notes, at most once a day, that clients of a schema version are there. */
  async noteVersion(version: number): Promise<void> {
    const known = this.catalog?.version(version)?.schema.version;
    if (version === 0 || known === undefined) return;
    const { census } = await this.base();
    if (seen(census, known, this.env.now()) === census) return;
    await this.alone(async () => {
      const before = await this.base();
      const after = { ...before, census: seen(before.census, known, this.env.now()) };
      if (after.census !== before.census) await this.replaceBook(after, []);
    });
  }

  /**
   * Stores rules beside those that hold, or puts them in force at once when no row has to be placed;
   * must run {@linkcode Committer.alone}.
   *
   * @returns whether rows have to be placed before they hold
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `SCHEMA_ERROR` (no schema yet)
   */
  async putRules(input: unknown): Promise<boolean> {
    const before = await this.base();
    if (before.catalog === undefined || before.book === undefined) {
      throw new LakeSyncError(
        "SCHEMA_ERROR",
        "The gateway has no schema yet, put one at /v1/admin/schema before its rules",
      );
    }
    const { isOpen, buildingSpec, spec } = before.book;
    if (!isOpen && buildingSpec === undefined && sameJson(spec, input)) return false;
    if (buildingSpec !== undefined && sameJson(buildingSpec, input)) return true;
    return await this.#begin(before, before.book.with(input, before.catalog));
  }

  /**
   * Puts rules and the tables that clients reach as they were put once, also where they hold.
   *
   * @returns whether rows have to be placed before they hold
   */
  async putAgain({ spec, reach = EVERY_TABLE, open = false }: Edit): Promise<boolean> {
    const before = await this.base();
    const { catalog, book } = before;
    if (catalog === undefined || book === undefined) throw new Error("There is no schema yet");
    return await this.#begin(before, book.beside(spec, reach, open, catalog));
  }

  async #begin(
    before: Base,
    { book, builds }: { readonly book: RuleBook; readonly builds: boolean },
  ): Promise<boolean> {
    if (!builds || before.head.seq === 0) {
      await this.switchRules({ ...before, book });
      return false;
    }
    await this.replaceBook({ ...before, book }, []);
    return true;
  }

  /**
   * Opens and closes tables to clients, beside the rules, or at once when no row has to be placed;
   * must run {@linkcode Committer.alone}. Nothing happens without a schema.
   *
   * @returns whether rows have to be placed before it holds
   */
  async putTables(names: TableNames): Promise<boolean> {
    const before = await this.base();
    const { catalog, book: current } = before;
    if (catalog === undefined || current === undefined) return false;
    const reach = reachOf(names, catalog, current.reach);
    if (sameReach(reach, current.reach)) return current.buildingSpec !== undefined;
    return await this.#begin(before, current.reaching(reach, catalog));
  }

  /** Stores another book, with rows and buckets that were placed by it; the seq stays. */
  async replaceBook(
    after: Base,
    rows: readonly RowWrite[],
    buckets: readonly BucketRecord[] = [],
  ): Promise<void> {
    const before = await this.base();
    const { head, lives } = this.quiet(before);
    const moved: Base = { ...after, head, lives };
    await this.guarded(() =>
      this.store.commit({
        expectedSeq: before.head.seq,
        head,
        rows,
        buckets,
        ...baseWrites(before, moved),
      })
    );
    this.published(moved, NOTHING, before);
  }

  /** Puts the rules that were built in force, in a commit of its own. */
  async switchRules(built: Base): Promise<void> {
    const before = await this.base();
    const seq = before.head.seq + 1;
    const switched = built.book?.switched(seq);
    const after: Base = {
      ...built,
      head: { ...before.head, seq },
      book: switched?.book,
      horizonSeq: Math.max(before.horizonSeq, switched?.horizonSeq ?? 0),
      marks: markDay(before, this.env.now()),
      lives: this.livesAfter(before),
    };
    const own = baseWrites(before, after).meta ?? [];
    const edits = after.book && withEdit(
      await this.store.readMeta(EDITS_META),
      { kind: "rules", seq, ms: this.env.now(), ...after.book.put },
      false,
    );
    await this.guarded(() =>
      this.store.commit({
        expectedSeq: before.head.seq,
        head: { seq, hlc: before.head.hlc },
        meta: edits === undefined ? own : [...own, [EDITS_META, edits]],
      })
    );
    this.published(after, EVERYTHING, before);
  }

  /** Whether a commit is under way or queued. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Whether it takes nothing more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Waits for what is queued; nothing more is taken. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  #enqueue(queued: Queued, reject: (error: LakeSyncError) => void): void {
    if (this.#closed) {
      reject(
        new LakeSyncError("DRAINING", "The gateway is closing, try again", {
          retryAfterSeconds: 1,
        }),
      );
      return;
    }
    const waiting = this.#queue.reduce((sum, { deltas }) => sum + deltas, 0);
    if (waiting > 0 && waiting + queued.deltas > MAX_QUEUED_DELTAS) {
      const message = "Too many pushes wait to be committed, send it again";
      reject(new LakeSyncError("BACKPRESSURE", message, { retryAfterSeconds: 1 }));
      return;
    }
    this.#queue.push(queued);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await this.#gather();
      const group = this.#takeGroup();
      const [first] = group;
      // What comes reads for itself, and fails for itself.
      await this.#refresh().catch(() => this.#base = undefined);
      if (first === undefined) continue;
      if (typeof first.work === "function") await first.work();
      else await this.#runGroup(group);
    }
    this.#running = undefined;
  }

  /**
   * Lets requests that are on their way in arrive: a request takes a few turns from the socket to
   * here, and each that comes now shares the fsync.
   */
  async #gather(): Promise<void> {
    let waiting = 0;
    const beganMs = this.env.now();
    const isLate = () => Math.abs(this.env.now() - beganMs) >= GATHER_MS;
    for (let quiet = 0; quiet < QUIET_TURNS && waiting < GATHER_PUSHES && !isLate();) {
      await this.env.nextTurn();
      quiet = this.#queue.length > waiting ? 0 : quiet + 1;
      waiting = this.#queue.length;
    }
  }

  #takeGroup(): Queued[] {
    const group: Queued[] = [];
    let weight = 0;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (
        group.length > 0 &&
        (typeof next.work === "function" || weight + next.weight > GROUP_WEIGHT)
      ) break;
      this.#queue.shift();
      if (next.signal?.aborted) {
        next.settle(cancelled(next.signal));
        continue;
      }
      group.push(next);
      weight += next.weight;
      if (typeof next.work === "function") break;
    }
    return group;
  }

  async #runGroup(group: readonly Queued[]): Promise<void> {
    const jobs: PushJob[] = [];
    for (const { work } of group) {
      if (typeof work !== "function") jobs.push(work);
    }
    let outcomes: readonly (PushOutcome | LakeSyncError)[];
    try {
      outcomes = await this.commitPushes(jobs);
    } catch (error) {
      const answer = this.#failure("A commit failed", error);
      outcomes = jobs.map(() => answer);
    }
    for (const [i, { settle }] of group.entries()) {
      settle(
        outcomes[i] ??
          new LakeSyncError(
            "INTERNAL_ERROR",
            "The push got no answer, send it again",
          ),
      );
    }
  }

  #failure(what: string, error: unknown): LakeSyncError {
    if (error instanceof LakeSyncError) return error;
    this.env.onError?.(what, error);
    return new LakeSyncError(
      "INTERNAL_ERROR",
      "The commit failed, nothing of it was kept; send it again",
    );
  }

  /** Reads the records of buckets; those of the last commit need not be read. */
  async readBuckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    const others = names.filter((name) => !this.#recent.has(name));
    const read = others.length === 0 ? [] : await this.store.readBuckets(others);
    const found = new Map(others.map((name, i) => [name, read[i]]));
    return names.map((name) => this.#recent.get(name) ?? found.get(name));
  }

  #remember(buckets: readonly BucketRecord[]): void {
    if (buckets.length > MAX_RECENT || this.store.capabilities.shared) return;
    for (const record of buckets) this.#recent.set(record.id, record).set(record.bucket, record);
  }

  /** Runs a commit; whatever was believed of the store is forgotten when it fails. */
  async guarded(commit: () => Promise<void>): Promise<void> {
    this.#recent.clear();
    try {
      await commit();
    } catch (error) {
      this.#base = undefined;
      throw error;
    }
  }

  /**
   * Commits pushes together; the answers are in their order.
   *
   * @throws whatever the store throws; nothing is committed then
   */
  async commitPushes(
    jobs: readonly PushJob[],
  ): Promise<readonly (PushOutcome | LakeSyncError)[]> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#commitPushes(jobs);
      } catch (error) {
        const mayPass = error instanceof LakeSyncError && error.code === "BACKPRESSURE";
        if (!this.#isShared || !mayPass || attempt >= MAX_ATTEMPTS) throw error;
        await this.env.nextTurn();
      }
    }
  }

  async #commitPushes(
    jobs: readonly PushJob[],
  ): Promise<readonly (PushOutcome | LakeSyncError)[]> {
    const before = await this.base();
    const { book, catalog } = before;
    if (catalog === undefined) {
      return jobs.map(() =>
        new LakeSyncError(
          "SCHEMA_ERROR",
          "The gateway has no schema yet, put one at /v1/admin/schema",
        )
      );
    }
    if (book === undefined) throw new Error("A schema has no rules");
    const ids = [...new Set(jobs.map(({ request }) => request.clientId))];
    const clients = new Map<string, ClientRecord>();
    for (const client of await this.store.readClients(ids)) {
      if (client !== undefined) clients.set(client.clientId, client);
    }
    const group = new Group(
      this,
      catalog,
      book,
      before,
      clients,
      await this.#answers(jobs),
      await AnswerRooms.load(
        this.store,
        this.env,
        jobs.flatMap(({ idempotency, caller }) => idempotency === undefined ? [] : [caller.sub]),
      ),
    );
    const judged = jobs.map((job) => group.judge(job));
    await group.loadRows(judged);
    const verdicts: Verdict[] = [];
    for (const [i, job] of jobs.entries()) {
      verdicts.push(await group.take(job, judged[i] ?? new Map()));
    }
    const after = await this.#commit(group, before);
    this.env.observer?.committed(group.tally);
    return verdicts.map((verdict, i) => this.#answer(verdict, jobs[i]?.request, after));
  }

  async #answers(jobs: readonly PushJob[]): Promise<Map<string, KeptAnswer>> {
    const answers = new Map<string, KeptAnswer>();
    for (const { idempotency } of jobs) {
      if (idempotency === undefined) continue;
      const kept = await this.store.readAnswer(idempotency.key);
      if (kept !== undefined && kept.expiresMs > this.env.now()) {
        answers.set(kept.key, kept);
      }
    }
    return answers;
  }

  async #commit(group: Group, before: Base): Promise<Base> {
    if (!group.dirty) return before;
    const { after, batch } = await group.finish();
    await this.guarded(() => this.store.commit(batch));
    this.#remember(batch.buckets ?? []);
    group.committed();
    this.published(
      after,
      {
        buckets: group.changedBuckets,
        clientIds: group.advanced,
        changes: group.tally.applied,
        bytes: (batch.log ?? []).reduce((sum, { payload }) => sum + payload.length, 0),
      },
      before,
    );
    return after;
  }

  /** Takes in what a commit made of the gateway and tells whoever listens. */
  published(after: Base, touched: Touched, before: Base): void {
    const { seq } = after.head;
    // Other processes may have committed before.
    const all = this.#toldSeq < before.head.seq ? { everything: true } : {};
    this.#toldSeq = Math.max(this.#toldSeq, seq);
    this.#base = after;
    if (seq >= this.#newest.head.seq) this.#newest = after;
    this.#onCommitted({ seq, ...touched, ...all });
  }

  #answer(
    verdict: Verdict,
    request: PushRequest | undefined,
    after: Base,
  ): PushOutcome | LakeSyncError {
    if ("error" in verdict) return verdict.error;
    if ("replayed" in verdict) return { replayed: verdict.replayed };
    const rejected = request === undefined
      ? []
      : refusalsOf(verdict.client, request, verdict.older);
    return {
      result: this.result(verdict.client, rejected, verdict.stopped, after),
    };
  }

  /** Puts the answer to a push together. */
  result(
    client: ClientRecord,
    rejected: readonly Rejection[],
    stopped: Stop | undefined,
    after: Base,
  ): PushResult {
    return {
      lastMutationId: client.lastMutationId,
      rejected,
      ...(stopped === undefined ? {} : { stopped }),
      seq: after.head.seq,
      serverTime: new Date(this.env.now()).toISOString(),
      // Not the clock's last, which a crash forgets: a device must never know a stamp that is
      // beyond what this gateway will accept.
      serverHlc: headHlc(after),
    };
  }
}

function headHlc({ head }: Base): Hlc {
  return parseHlc(head.hlc) ?? ZERO_HLC;
}

/** The secret of the gateway's cursors, made when it is opened for the first time. */
async function cursorSecret(store: Store, env: GatewayEnvironment): Promise<string> {
  const secret = `${env.randomId()} ${env.randomId()}`;
  for (let attempt = 1;; attempt++) {
    const head = await store.head();
    const known = await store.readMeta(CURSOR_META);
    if (known !== undefined) return known;
    // Of several processes that open it at once, all but one find the head moved.
    const seq = store.capabilities.shared ? head.seq + 1 : head.seq;
    try {
      await store.commit({
        expectedSeq: head.seq,
        head: { ...head, seq },
        meta: [[CURSOR_META, secret]],
      });
    } catch (error) {
      if (attempt >= MAX_ATTEMPTS) throw error;
    }
  }
}

function cancelled({ reason }: AbortSignal): LakeSyncError {
  return reason instanceof LakeSyncError
    ? reason
    : new LakeSyncError("TIMEOUT", "The push was given up before its commit, send it again");
}

function sameSchema(current: Catalog | undefined, input: unknown): boolean {
  return current !== undefined && sameJson(current.schema.spec, input);
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map((
      [key, item],
    ) => [key, sorted(item)]),
  );
}
