/**
 * A view of one gateway in Deno KV, which keeps no versions: what is read is one snapshot if the
 * head has the same version at the end as at the start, since every commit gives it a new one.
 *
 * So that readers get through while writers are busy, a view keeps the writers of this process
 * out for a moment at its beginning; one that is quick is sure to be one snapshot, as far as this
 * process is concerned.
 *
 * @module
 */

import { snapshotLost, storeClosed, viewEnded } from "./_errors.ts";
import { readHead, type VersionedHead } from "./_kv_commit.ts";
import type { Gate } from "./_kv_gate.ts";
import { readBuckets, readClients, readMeta, readRows, scanSide } from "./_kv_reads.ts";
import type { KvSession } from "./_kv_session.ts";
import type {
  BucketRecord,
  ClientRecord,
  Head,
  IndexPage,
  IndexScan,
  ReadView,
  RowKey,
  StoredRow,
} from "./store.ts";

/** How long a view keeps writers out, in milliseconds. */
const GATE_MS = 25;

/** What a view needs of its store. */
export interface KvViewContext {
  /** The gateway's keys. */
  readonly session: KvSession;
  /** Where readers and writers of this process pass. */
  readonly gate: Gate;
  /** Whether other processes may write too. */
  readonly shared: boolean;
  /** Whether the store is open. */
  isOpen(): boolean;
}

/**
 * Opens a view.
 *
 * @param context what it needs of its store
 * @returns the view; nothing when a published write is not carried yet
 */
export async function openView(context: KvViewContext): Promise<ReadView | undefined> {
  const entered = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const staying = context.gate.shared(() => {
    entered.resolve();
    return left.promise;
  });
  await entered.promise;
  let view: KvView | undefined;
  try {
    if (!context.isOpen()) throw storeClosed();
    const head = await readHead(context.session);
    if (head.record.pending === "") view = new KvView(context, head, left.resolve);
    return view;
  } finally {
    if (view === undefined) {
      left.resolve();
      await staying;
    }
  }
}

class KvView implements ReadView {
  readonly head: Head;
  readonly #context: KvViewContext;
  readonly #version: string | null;
  readonly #leave: () => void;
  readonly #timer: ReturnType<typeof setTimeout>;
  #inside = true;
  #ended: Promise<boolean> | undefined;

  constructor(
    context: KvViewContext,
    { record: { epoch, seq, hlc }, versionstamp }: VersionedHead,
    leave: () => void,
  ) {
    this.#context = context;
    this.#version = versionstamp;
    this.head = { epoch, seq, hlc };
    this.#leave = leave;
    this.#timer = setTimeout(() => this.#letWritersIn(), GATE_MS);
  }

  clients(ids: readonly string[]): Promise<readonly (ClientRecord | undefined)[]> {
    return this.#read((session) => readClients(session, ids));
  }

  buckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    return this.#read((session) => readBuckets(session, names));
  }

  rows(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    return this.#read((session) => readRows(session, keys));
  }

  meta(name: string): Promise<string | undefined> {
    return this.#read((session) => readMeta(session, name));
  }

  scan(scan: IndexScan): Promise<IndexPage> {
    return this.#read((session) => scanSide(session, scan));
  }

  end(): Promise<boolean> {
    this.#ended ??= this.#isOne().finally(() => this.#letWritersIn());
    return this.#ended;
  }

  /** What goes wrong may be no damage but half of a later commit. */
  async #read<T>(work: (session: KvSession) => Promise<T>): Promise<T> {
    if (!this.#context.isOpen()) throw storeClosed();
    if (this.#ended) throw viewEnded();
    const [outcome] = await Promise.allSettled([work(this.#context.session)]);
    if (outcome.status === "fulfilled") return outcome.value;
    throw await this.#isOne() ? outcome.reason : snapshotLost();
  }

  async #isOne(): Promise<boolean> {
    const { session, shared, isOpen } = this.#context;
    if (this.#inside && !shared) return true;
    if (!isOpen()) return false;
    return (await readHead(session)).versionstamp === this.#version;
  }

  #letWritersIn(): void {
    clearTimeout(this.#timer);
    this.#inside = false;
    this.#leave();
  }
}
