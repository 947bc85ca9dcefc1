/**
 * One open gateway: its writer, its readers and whoever waits for its next commit.
 *
 * @module
 */

import {
  isClientId,
  LakeSyncError,
  type Limits,
  MAX_WAIT_SECONDS,
  PULL_LIMIT,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type Schema,
  type SchemaSpec,
} from "@lakesync/core";
import { readSnapshot } from "../store/snapshot.ts";
import type { ReadView, Store } from "../store/store.ts";
import type { Base } from "./base.ts";
import { servedVersion } from "./catalog.ts";
import { type CheckpointRequest, type CheckpointStream, openCheckpoint } from "./checkpoint.ts";
import { endFrame, type EtagOwner, headerFrame, writeEtag } from "./checkpoint_frames.ts";
import { CheckpointHouse } from "./checkpoint_house.ts";
import { whileReached } from "./checkpoint_reach.ts";
import { checkOwner, forgetSeen } from "./clients.ts";
import { type Committed, Committer } from "./committer.ts";
import { compact } from "./compaction.ts";
import { Cursors } from "./cursors.ts";
import { type GatewayEnvironment, limitsOf, retentionOf } from "./environment.ts";
import type {
  Caller,
  CommitListener,
  ExplainRequest,
  Gateway,
  GatewayStats,
  Idempotency,
  PushOutcome,
  RowExplanation,
  RulesState,
  ScopedPull,
} from "./gateway.ts";
import { explainRow } from "./explain.ts";
import { type Follower, Followers } from "./followers.ts";
import { HeadWatch } from "./head_watch.ts";
import { History } from "./history.ts";
import { LogGauge } from "./log_gauge.ts";
import { isOurs, lifeOf } from "./lives.ts";
import { type Past, type PullContext, pullPage } from "./pull.ts";
import { buildRules } from "./rebuild.ts";
import { checkOpen, RulesChanged } from "./scope.ts";
import { Slices } from "./slices.ts";

/** How often history is compacted while there are commits, in milliseconds. */
const COMPACT_EVERY_MS = 60_000;

/** After a build of rules has failed it goes on after so long, in milliseconds. */
const BUILD_RETRY_MS = 1_000;

function checkClientId(clientId: string): void {
  if (!isClientId(clientId)) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "A clientId is 1 to 128 letters, digits, '.', '_', ':' or '-', a letter or digit first",
    );
  }
}

/** Whether a commit may have brought something new to a client. */
function concerns(
  { buckets, clientIds, everything }: Committed,
  clientId: string,
  watched: ReadonlySet<string>,
): boolean {
  return everything === true || clientIds.has(clientId) || !watched.isDisjointFrom(buckets);
}

/** The past by a gateway's own records; of commits after them the writer may know the life. */
function pastOf({ horizonSeq, lives, head }: Base, later: Committer): Past {
  return {
    horizonSeq,
    isOurs: (life, seq) => isOurs(lives, life, seq),
    lifeAt: (seq) => lifeOf(seq <= head.seq ? lives : later.lives, seq),
  };
}

/** The stream of a gateway without a schema. */
function nothingChunked(owner: EtagOwner): CheckpointStream {
  const etag = writeEtag([], owner);
  const header = headerFrame({ etag, totalRows: 0, buckets: [], seq: "0" });
  async function* frames() {
    yield* await Promise.resolve([header, endFrame(undefined)]);
  }
  return { etag, totalRows: 0, resumed: false, frames: frames() };
}

/** The name of the record that is written to see that the store can be. */
const PROBE_META = "probe";

/** A gateway on its open store. */
export class OpenGateway implements Gateway {
  readonly #listeners = new Set<CommitListener>();
  readonly #followers = new Followers();
  readonly #slices: Slices;
  #compactedMs: number;
  #building: Promise<void> | undefined;
  /** Ends the wait before a build of rules is tried again. */
  #goOn: () => void = () => {};
  readonly #house: CheckpointHouse | undefined;
  /** Set where other processes may commit too. */
  readonly #watch: HeadWatch | undefined;
  readonly history: History;
  readonly cursors: Cursors;
  readonly #gauge: LogGauge;

  private constructor(
    readonly id: string,
    readonly store: Store,
    readonly env: GatewayEnvironment,
    readonly committer: Committer,
    committed: { tell: (committed: Committed) => void },
  ) {
    this.#compactedMs = env.now();
    this.#slices = new Slices(env);
    this.history = new History(committer);
    this.cursors = new Cursors(committer);
    this.#gauge = new LogGauge({
      store,
      maxBytes: retentionOf(env).logMaxBytes,
      now: env.now,
      trim: () => this.#compact(),
    });
    const settings = env.checkpoints;
    this.#house = settings && new CheckpointHouse({ gatewayId: id, store, env, settings });
    committed.tell = (event) => this.#committed(event);
    if (store.capabilities.shared) this.#watch = new HeadWatch(env, () => this.#lookAtOthers());
  }

  /** Goes on with rules that were being built when the gateway was closed. */
  async #resume(): Promise<this> {
    await this.refreshTables();
    const { book } = await this.committer.base();
    if (book?.buildingSpec !== undefined) void this.#built(0);
    return this;
  }

  static async open(
    id: string,
    store: Store,
    env: GatewayEnvironment,
  ): Promise<OpenGateway> {
    const committed = { tell: (_: Committed): void => {} };
    const committer = await Committer.open(
      store,
      env,
      (event) => committed.tell(event),
    );
    return await new OpenGateway(id, store, env, committer, committed).#resume();
  }

  get schema(): Schema | undefined {
    return this.committer.catalog?.schema;
  }

  get limits(): Limits {
    return limitsOf(this.env);
  }

  now(): number {
    return this.env.now();
  }

  /** Whether anyone listens, waits or pushes at this moment. */
  get busy(): boolean {
    return this.#isHeard || this.committer.busy ||
      this.#building !== undefined || (this.#house?.busy ?? false);
  }

  async push(
    caller: Caller,
    request: PushRequest,
    idempotency?: Idempotency,
    signal?: AbortSignal,
  ): Promise<PushOutcome> {
    checkClientId(request.clientId);
    const { book, catalog } = await this.committer.current();
    if (catalog !== undefined) servedVersion(catalog, request.schemaVersion);
    const { maxPushTransactions, maxPushDeltas } = this.limits;
    const { transactions } = request;
    if (transactions.length > maxPushTransactions) {
      throw new LakeSyncError(
        "PAYLOAD_TOO_LARGE",
        `A push holds at most ${maxPushTransactions} transactions`,
      );
    }
    const deltas = transactions.reduce(
      (sum, transaction) => sum + transaction.deltas.length,
      0,
    );
    if (deltas > maxPushDeltas && transactions.length > 1) {
      throw new LakeSyncError(
        "PAYLOAD_TOO_LARGE",
        `A push holds at most ${maxPushDeltas} deltas`,
      );
    }
    checkOpen(book, caller, this.env.openAccess ?? false);
    await this.#refuseWhenFull();
    return await this.committer.push({ caller, request, idempotency, signal });
  }

  async #refuseWhenFull(): Promise<void> {
    if (!this.history.isKept || retentionOf(this.env).logWhenFull === "trim") return;
    if (!await this.#gauge.isFull()) return;
    throw new LakeSyncError(
      "BACKPRESSURE",
      "The log is full of changes that a destination has not taken yet, try again later",
      { retryAfterSeconds: 5 },
    );
  }

  async pull(
    caller: Caller,
    request: PullRequest,
    stopping?: AbortSignal,
    signal?: AbortSignal,
  ): Promise<PullResult> {
    checkClientId(request.clientId);
    const { limit = PULL_LIMIT.default, wait = 0 } = request;
    if (!Number.isInteger(limit) || limit < PULL_LIMIT.min) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        `limit is a whole number from ${PULL_LIMIT.min}`,
      );
    }
    const waitMs = Math.min(wait, MAX_WAIT_SECONDS) * 1000;
    const untilMs = this.env.now() + waitMs;
    for (;;) {
      const commit = this.#nextCommit(request.clientId, [stopping, signal]);
      try {
        const { result, news, watched } = await this.#pageInTurn(caller, request, signal);
        // The clock may be set back meanwhile, by hours.
        const leftMs = Math.min(waitMs, untilMs - this.env.now());
        if (news || leftMs <= 0 || stopping?.aborted) return result;
        await commit.wait(watched, leftMs);
        signal?.throwIfAborted();
      } finally {
        commit.cancel();
      }
    }
  }

  async #pageInTurn(
    ...asked: readonly [caller: Caller, request: PullRequest, signal?: AbortSignal]
  ) {
    const end = await this.env.pageTurn?.();
    try {
      return await this.#page(...asked);
    } finally {
      end?.();
    }
  }

  async pullScoped(caller: Caller, request: PullRequest): Promise<ScopedPull> {
    checkClientId(request.clientId);
    return await this.#page(caller, request);
  }

  async checkpoint(caller: Caller, request: CheckpointRequest): Promise<CheckpointStream> {
    checkClientId(request.clientId);
    return await this.#read(
      caller,
      request.schemaVersion,
      async ({ catalog, book, ...context }) => {
        if (catalog === undefined || book === undefined) {
          return nothingChunked({ seal: context.seal, sub: caller.sub });
        }
        const facts = { ...context, catalog, book, house: this.#house };
        const stream = await openCheckpoint(facts, caller, request);
        const current = async () => (await this.committer.current()).book;
        return { ...stream, frames: whileReached(stream.frames, book, current) };
      },
    );
  }

  async #page(caller: Caller, request: PullRequest, signal?: AbortSignal) {
    return await this.#slices.run(() =>
      this.#read(
        caller,
        request.schemaVersion ?? 0,
        (context) => pullPage({ ...context, signal }, caller, request),
      )
    );
  }

  /** Reads by the rules that hold at the snapshot: when others came before it, it is read anew. */
  async #read<T>(
    caller: Caller,
    schemaVersion: number,
    read: (context: PullContext) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      try {
        return await read(await this.#readContext(caller, schemaVersion));
      } catch (error) {
        if (!(error instanceof RulesChanged)) throw error;
      }
    }
  }

  /** What is read by; refuses callers of gateways that are closing, or closed to them. */
  async #readContext(caller: Caller, schemaVersion: number): Promise<PullContext> {
    const { committer, store } = this;
    if (committer.closed) {
      throw new LakeSyncError("DRAINING", "The gateway is closing, try again", {
        retryAfterSeconds: 1,
      });
    }
    const base = await committer.current();
    const { catalog, book } = base;
    checkOpen(book, caller, this.env.openAccess ?? false);
    this.#noteVersion(schemaVersion);
    return {
      store,
      catalog,
      book,
      lookups: committer.lookups,
      seal: committer.seal,
      past: async (view: ReadView) => pastOf(await committer.basis(view, base), committer),
    };
  }

  /** Keeps count of the versions in use; a pull does not wait for it. */
  #noteVersion(version: number): void {
    this.committer.noteVersion(version).catch((error) => {
      if (error instanceof LakeSyncError && error.code === "DRAINING") return;
      this.env.onError?.("A schema version could not be noted", error);
    });
  }

  /** Listens for commits from now on, so that none between a read and the waiting is missed. */
  #nextCommit(clientId: string, signals: readonly (AbortSignal | undefined)[]) {
    const seen: Committed[] = [];
    let watched: ReadonlySet<string> | undefined;
    let wake = () => {};
    const happened = () => wake();
    const stop = this.onCommit((commit) => {
      if (watched === undefined) seen.push(commit);
      else if (concerns(commit, clientId, watched)) wake();
    });
    for (const signal of signals) signal?.addEventListener("abort", happened);
    return {
      wait: (buckets: ReadonlySet<string>, ms: number) =>
        new Promise<void>((resolve) => {
          watched = buckets;
          const missed = seen.some((commit) => concerns(commit, clientId, buckets));
          if (missed || signals.some((signal) => signal?.aborted)) return resolve();
          const cancelTimer = this.env.setTimer(ms, () => wake());
          wake = () => {
            cancelTimer();
            resolve();
          };
        }),
      cancel: () => {
        stop();
        for (const signal of signals) signal?.removeEventListener("abort", happened);
      },
    };
  }

  async refusalsSeen(
    caller: Caller,
    clientId: string,
    mutationId: number,
  ): Promise<void> {
    checkClientId(clientId);
    await this.committer.alone(async () => {
      const before = await this.committer.base();
      const [client] = await this.store.readClients([clientId]);
      checkOwner(client, caller.sub);
      const after = client && forgetSeen(client, mutationId);
      if (after === undefined || after === client) return;
      await this.committer.note(before, { clients: [after] });
    });
  }

  putSchema(spec: unknown, force = false): Promise<SchemaSpec> {
    return this.committer.alone(async () => {
      const put = await this.committer.putSchema(spec, force);
      if (await this.#putTables()) void this.#built(0);
      return put;
    });
  }

  /** Takes over which tables clients reach; must run alone. Gives whether there is more to build. */
  async #putTables(): Promise<boolean> {
    const names = this.env.tablesOf?.(this.id);
    return names !== undefined && await this.committer.putTables(names);
  }

  async refreshTables(waitMs = 0): Promise<void> {
    if (this.env.tablesOf === undefined) return;
    if (await this.committer.alone(() => this.#putTables())) await this.#built(waitMs);
  }

  async rules(): Promise<RulesState> {
    const { book } = await this.committer.current();
    return {
      rules: book === undefined || book.isOpen ? undefined : book.spec,
      building: book?.isBuildingOpen === true ? undefined : book?.buildingSpec,
    };
  }

  async putRules(spec: unknown, waitMs = 0): Promise<RulesState> {
    const builds = await this.committer.alone(() => this.committer.putRules(spec));
    if (builds) await this.#built(waitMs);
    return await this.rules();
  }

  /** Builds what is not built yet, and waits for it so long. */
  async #built(waitMs: number): Promise<void> {
    this.#building ??= this.#build().finally(() => this.#building = undefined);
    this.#goOn();
    const timeout = Promise.withResolvers<void>();
    const cancel = this.env.setTimer(waitMs, timeout.resolve);
    await Promise.race([this.#building, timeout.promise]);
    cancel();
  }

  /** Builds rules to the end; after a failure it waits and goes on where it was. */
  async #build(): Promise<void> {
    while (!this.committer.closed) {
      try {
        return await buildRules(this.committer);
      } catch (error) {
        if (error instanceof LakeSyncError && error.code === "DRAINING") return;
        this.env.onError?.("New rules could not be built, it is tried again", error);
      }
      if (this.committer.closed) return;
      await new Promise<void>((resolve) => {
        const cancel = this.env.setTimer(BUILD_RETRY_MS, resolve);
        this.#goOn = () => {
          cancel();
          resolve();
        };
      });
      this.#goOn = () => {};
    }
  }

  async explain(request: ExplainRequest): Promise<RowExplanation> {
    const { catalog, book } = await this.committer.current();
    if (catalog === undefined || book === undefined) {
      throw new LakeSyncError("SCHEMA_ERROR", "The gateway has no schema yet");
    }
    return await readSnapshot(
      this.store,
      (view) => explainRow(view, catalog, book, this.committer.lookups, request),
    );
  }

  async probe(): Promise<void> {
    const { committer, store, env } = this;
    if (store.capabilities.shared) return void await store.head();
    await committer.alone(async () => {
      await committer.note(await committer.base(), { meta: [[PROBE_META, String(env.now())]] });
    });
  }

  async stats(): Promise<GatewayStats> {
    const { head, counts, catalog } = await this.committer.current();
    const { logEntries, logBytes, clients } = await this.store.stats();
    const tables: Record<string, { rows: number }> = {};
    for (const { id, table } of catalog?.tables() ?? []) {
      tables[table.name] = { rows: counts.get(id) ?? 0 };
    }
    return {
      gatewayId: this.id,
      epoch: head.epoch,
      seq: head.seq,
      schemaVersion: catalog?.schema.version ?? 0,
      clients,
      tables,
      log: { entries: logEntries, bytes: logBytes },
    };
  }

  onCommit(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return this.#hear(() => this.#listeners.delete(listener));
  }

  follow(clientId: string, changed: () => void): Follower {
    const { awaits, stop } = this.#followers.follow(clientId, changed);
    return { awaits, stop: this.#hear(stop) };
  }

  /** Whether anyone is told of commits. */
  get #isHeard(): boolean {
    return this.#listeners.size > 0 || this.#followers.size > 0;
  }

  /** Hears of others' commits while anyone is told of commits; gives what ends that for one. */
  #hear(stop: () => void): () => void {
    if (!this.committer.closed) this.#watch?.begin();
    return () => {
      stop();
      if (!this.#isHeard) this.#watch?.end();
    };
  }

  /** Takes in what other processes have committed, and goes on with rules that they began. */
  async #lookAtOthers(): Promise<void> {
    const { book } = await this.committer.current();
    if (book?.buildingSpec !== undefined && this.#building === undefined) void this.#built(0);
  }

  #compact(): Promise<void> {
    return this.committer.alone(() => compact(this.committer, this.history.neededAfter));
  }

  #committed(event: Committed): void {
    this.#gauge.grew(event.everything === true ? undefined : event.bytes);
    for (const listener of [...this.#listeners]) listener(event);
    this.#followers.tell(event);
    const now = this.env.now();
    if (Math.abs(now - this.#compactedMs) < COMPACT_EVERY_MS) return;
    this.#compactedMs = now;
    this.#compact().catch((error) => {
      if (error instanceof LakeSyncError && error.code === "DRAINING") return;
      this.env.onError?.("Compaction failed", error);
    });
  }

  async close(): Promise<void> {
    const watched = this.#watch?.close();
    await this.committer.close();
    await watched;
    this.#goOn();
    await this.#building;
    await this.#house?.close();
    await this.store.close();
  }
}
