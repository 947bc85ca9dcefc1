/**
 * The stream of a checkpoint: the large buckets of a caller's scope in chunks, and a cursor to pull
 * the rest with. See docs/adr/0009-checkpoints.md.
 *
 * @module
 */

import { readSnapshot } from "../store/snapshot.ts";
import type { ReadView, Store } from "../store/store.ts";
import { type CatalogVersion, servedVersion } from "./catalog.ts";
import {
  chunkFrame,
  endFrame,
  headerFrame,
  readEtag,
  type ServedSnapshot,
  writeEtag,
} from "./checkpoint_frames.ts";
import type { CheckpointFacts, CheckpointHouse } from "./checkpoint_house.ts";
import type { Snapshot } from "./checkpoint_snapshot.ts";
import { checkOwner } from "./clients.ts";
import { NO_CURSOR, withHead, writeCursor } from "./cursor.ts";
import type { Caller } from "./gateway.ts";
import { type LookupCache, Lookups } from "./lookups.ts";
import type { Past } from "./pull.ts";
import { publicBucketId } from "./rule_book.ts";
import { type GrantedBucket, type ReadScope, readScope } from "./scope.ts";

/** Further buckets come with the tail; an etag names each of them. */
const MAX_BUCKETS = 64;

/** What a client asks for. */
export interface CheckpointRequest {
  /** The database that asks. */
  readonly clientId: string;
  /** The schema version it has; 0: the newest. */
  readonly schemaVersion: number;
  /** The etag of the stream that was broken off. */
  readonly etag?: string;
  /** The first chunk that it does not have of that stream. */
  readonly fromChunk?: number;
}

/** A stream that begins. */
export interface CheckpointStream {
  /** Names what is streamed, with its quotes. */
  readonly etag: string;
  /** About how many rows the whole stream has. */
  readonly totalRows: number;
  /** Whether it goes on where the broken one ended; if not, it begins with chunk 0. */
  readonly resumed: boolean;
  /** The frames, each read when it is asked for. */
  readonly frames: AsyncIterable<Uint8Array>;
}

/** What a stream needs of the gateway. */
export interface CheckpointContext extends Omit<CheckpointFacts, "headSeq" | keyof Past> {
  /** Its data. */
  readonly store: Store;
  /** What parameters looked up. */
  readonly lookups: LookupCache;
  /**
   * Tells of the past as it is known in a snapshot.
   *
   * @throws {RulesChanged} when other rules were put in force before the snapshot
   */
  readonly past: (view: ReadView) => Promise<Past>;
  /** Its snapshots; undefined when it keeps none. */
  readonly house: CheckpointHouse | undefined;
}

interface Served extends ServedSnapshot {
  readonly snapshot: Snapshot;
  readonly granted: GrantedBucket;
}

/** Buckets that are served by chunks, in the order of their numbers. */
function chunked({ buckets }: ReadScope, minRows: number): readonly GrantedBucket[] {
  return [...buckets.values()]
    .filter(({ record, placed, residual }) =>
      record.rows >= minRows && residual.length === 0 && placed.family.residualOperands === 0
    )
    .sort((a, b) => a.record.bucket - b.record.bucket)
    .slice(0, MAX_BUCKETS);
}

/** A stream that was broken off, as far as it can go on. */
async function resume(
  context: CheckpointFacts,
  house: CheckpointHouse,
  scope: ReadScope,
  names: CatalogVersion,
  etag: string,
  sub: string,
): Promise<readonly Served[] | undefined> {
  const served: Served[] = [];
  for (const { bucket, id, goneSeq } of readEtag(etag, { seal: context.seal, sub }) ?? []) {
    const granted = scope.buckets.get(bucket);
    if (granted === undefined) return undefined;
    const snapshot = await house.resumed(id, granted.record, names, context);
    if (snapshot === undefined || goneSeq < snapshot.facts.seq) return undefined;
    const forgotten = goneSeq < context.horizonSeq && goneSeq < snapshot.goneSeq;
    if (forgotten || goneSeq > snapshot.goneSeq) return undefined;
    served.push({ bucket, id, goneSeq, snapshot, granted });
  }
  return served.length === 0 ? undefined : served;
}

async function begin(
  context: CheckpointFacts,
  house: CheckpointHouse,
  scope: ReadScope,
  names: CatalogVersion,
  headSeq: number,
): Promise<readonly Served[]> {
  const served: Served[] = [];
  for (const granted of chunked(scope, house.settings.minRows)) {
    const snapshot = await house.obtain(granted, headSeq, names, context);
    const { bucket, id } = snapshot.facts;
    served.push({ bucket, id, goneSeq: snapshot.goneSeq, snapshot, granted });
  }
  return served;
}

/**
 * The cursor behind the chunks: between the pages of a first checkpoint.
 *
 * @returns gives it once the chunks were read; undefined where there are none
 */
function cursorBehind(
  served: readonly Served[],
  version: number,
  { horizonSeq, lifeAt, seal }: CheckpointFacts,
  sub: string,
): () => string | undefined {
  if (served.length === 0) return () => undefined;
  const scans = served.map(({ bucket, goneSeq, snapshot }) => {
    const { seq } = snapshot.facts;
    // Nothing left between goneSeq and the horizon, or the snapshot would not be served.
    const cleanThrough = Math.max(goneSeq, Math.min(horizonSeq, snapshot.cleanThrough));
    return {
      bucket,
      granted: true,
      repair: false,
      page: 0,
      since: seq,
      sentFrom: cleanThrough,
      memberAfter: seq,
      goneAfter: cleanThrough,
      residual: [],
      snapshotSeq: seq,
    };
  });
  const sorted = scans.map(({ since }) => since).sort((a, b) => a - b);
  const latest = Math.max(...scans.map(({ goneAfter }) => goneAfter));
  return () => {
    const through = Math.max(...served.map(({ snapshot }) => snapshot.through));
    const cursor = writeCursor({
      ...NO_CURSOR,
      life: lifeAt(Math.max(latest, through)),
      paging: {
        start: sorted[0] ?? 0,
        heads: sorted.reduce(withHead, []),
        pages: 1,
        through,
        version,
        scans,
        current: 0,
      },
    });
    return seal.seal(cursor, sub);
  };
}

/**
 * Begins a stream.
 *
 * @param context the gateway
 * @param caller who asks
 * @param request what is asked
 * @throws {LakeSyncError} `CLIENT_NOT_YOURS`, `SCHEMA_CONFLICT` (the schema version is not served),
 * `BACKPRESSURE`, `DRAINING`
 * @throws {RulesChanged} when other rules were put in force before the snapshot
 */
export async function openCheckpoint(
  context: CheckpointContext,
  caller: Caller,
  request: CheckpointRequest,
): Promise<CheckpointStream> {
  const { catalog, book, store, house } = context;
  const { clientId, schemaVersion, etag, fromChunk } = request;
  const names = servedVersion(catalog, schemaVersion);
  const { scope, seq, lookups, past } = await readSnapshot(store, async (view) => {
    const past = await context.past(view);
    const [client] = await view.clients([clientId]);
    checkOwner(client, caller.sub);
    const lookups = new Lookups(book, catalog, context.lookups);
    const scope = await readScope(view, caller, lookups);
    return { scope, seq: view.head.seq, lookups, past };
  });
  lookups.keep();
  const facts: CheckpointFacts = { ...context, ...past, headSeq: seq };
  const broken = house === undefined || etag === undefined || fromChunk === undefined
    ? undefined
    : await resume(facts, house, scope, names, etag, caller.sub);
  const served = broken ??
    (house === undefined ? [] : await begin(facts, house, scope, names, seq));
  const header = {
    etag: writeEtag(served, { seal: context.seal, sub: caller.sub }),
    totalRows: served.reduce((sum, { snapshot }) => sum + snapshot.facts.rows, 0),
    buckets: served.map(({ granted }) => publicBucketId(granted.record.id, granted.placed)),
    seq: String(seq),
  };
  const cursor = cursorBehind(served, schemaVersion, facts, caller.sub);
  const from = broken === undefined ? 0 : fromChunk ?? 0;
  return {
    etag: header.etag,
    totalRows: header.totalRows,
    resumed: broken !== undefined,
    frames: frames(headerFrame(header), served, from, cursor, { house, ...past }),
  };
}

async function* frames(
  header: Uint8Array,
  served: readonly Served[],
  from: number,
  cursor: () => string | undefined,
  { house, lifeAt }: Pick<CheckpointContext, "house"> & Past,
): AsyncGenerator<Uint8Array> {
  const stream = house?.stream();
  for (const { snapshot } of served) snapshot.readers++;
  try {
    yield header;
    let number = 0;
    for (const [place, { snapshot }] of served.entries()) {
      for (let at = 0; await snapshot.has(at); at++, number++) {
        if (number < from) continue;
        const chunk = await snapshot.read(at);
        if (chunk === undefined) break;
        stream?.check();
        yield chunkFrame(place, chunk);
      }
    }
    yield endFrame(cursor());
  } finally {
    for (const { snapshot } of served) snapshot.readers--;
    stream?.end();
    await house?.settle(served.map(({ snapshot }) => snapshot), lifeAt);
  }
}
