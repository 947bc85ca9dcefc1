/**
 * Pages of changes: what scans of the bucket index mean to one client, by the rules of
 * docs/adr/0008-rules-and-buckets.md.
 *
 * @module
 */

import {
  type BucketState,
  type Family,
  LakeSyncError,
  parseHlc,
  PULL_LIMIT,
  type PullRequest,
  type PullResult,
  type RowChange,
  ZERO_HLC,
} from "@lakesync/core";
import { readSnapshot } from "../store/snapshot.ts";
import type { BucketRecord, Head, ReadView, ScannedRow, Store } from "../store/store.ts";
import { type Catalog, type CatalogVersion, servedVersion } from "./catalog.ts";
import { checkOwner, previousChain } from "./clients.ts";
import {
  type Cursor,
  NO_CURSOR,
  readCursor,
  type ScanState,
  withHead,
  writeCursor,
} from "./cursor.ts";
import type { CursorSeal } from "./cursor_seal.ts";
import type { Caller } from "./gateway.ts";
import { type LookupCache, Lookups } from "./lookups.ts";
import { familyOfBucket, publicBucketId, type RuleBook } from "./rule_book.ts";
import { bucketStateOf } from "./bucket_state.ts";
import { type HeldFamily, RowTeller, type ToldRow } from "./row_teller.ts";
import { type CheckpointPlan, isWhole, planPage } from "./scans.ts";
import { type GrantedBucket, type ReadScope, readScope } from "./scope.ts";

/** A page looks at so many rows for each that it may tell. */
const LOOKED_AT = 4;

/** What a pull needs of the gateway. */
export interface PullContext {
  /** Its data. */
  readonly store: Store;
  /** Its schema, once there is one. */
  readonly catalog: Catalog | undefined;
  /** Its rules, once there is a schema. */
  readonly book: RuleBook | undefined;
  /** What parameters looked up. */
  readonly lookups: LookupCache;
  /** Seals cursors. */
  readonly seal: CursorSeal;
  /**
   * Tells of the past as it is known in a snapshot.
   *
   * @throws {RulesChanged} when other rules were put in force before the snapshot
   */
  readonly past: (view: ReadView) => Promise<Past>;
  /** Ends the reading. */
  readonly signal?: AbortSignal | undefined;
}

/** What is known of the past. */
export interface Past {
  /** History at or before this seq is forgotten. */
  readonly horizonSeq: number;
  /** Whether a seq that was seen in a life of the data is part of its history. */
  readonly isOurs: (life: string, seq: number) => boolean;
  /** The life that a seq belongs to. */
  readonly lifeAt: (seq: number) => string;
}

/** A page, and whether it tells the client anything it did not have. */
export interface PulledPage {
  /** The page. */
  readonly result: PullResult;
  /** Whether there are changes, more pages, or newly consumed transactions. */
  readonly news: boolean;
  /** The stored ids of the buckets whose change may give the caller something new. */
  readonly watched: ReadonlySet<string>;
}

function resync(why: string): LakeSyncError {
  return new LakeSyncError(
    "RESYNC_REQUIRED",
    `${why}, pull again without a cursor`,
  );
}

function start(
  request: PullRequest,
  sub: string,
  { seal }: PullContext,
  { isOurs, horizonSeq }: Past,
  headSeq: number,
): Cursor {
  if (request.cursor === undefined || request.cursor === "") return NO_CURSOR;
  const opened = seal.open(request.cursor, sub);
  if (opened.kind === "another") {
    throw resync("The gateway's data is another than the cursor's");
  }
  const cursor = opened.kind === "ours" ? readCursor(opened.text) : undefined;
  if (cursor === undefined) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The cursor was never one of this gateway's",
    );
  }
  const { base, held, paging } = cursor;
  const scans = paging?.scans ?? [];
  const told = scans.map(({ since, memberAfter, goneAfter }) =>
    Math.max(since, memberAfter, goneAfter)
  );
  // A page tells a row where it stands at its head: one that had moved on is told by a later page.
  const read = [paging?.start ?? 0, paging?.heads.at(-1) ?? 0, paging?.through ?? 0];
  const latest = Math.max(base, paging?.position?.after.seq ?? 0, ...read, ...told);
  if (!isOurs(cursor.life, latest)) {
    throw resync("The gateway's data is another than the cursor's, or was restored");
  }
  if (latest > headSeq) throw resync("The gateway was restored to an earlier state");
  const lost = scans.some(({ sentFrom, goneAfter }) => sentFrom >= 0 && goneAfter < horizonSeq);
  if (lost || held.some((bucket) => bucket.base < horizonSeq) || (base > 0 && base < horizonSeq)) {
    throw resync("The cursor is older than the kept history");
  }
  return cursor;
}

/**
 * Reads one page.
 *
 * @param context the gateway
 * @param caller who asks
 * @param request what is asked
 * @returns the page
 * @throws {LakeSyncError} `VALIDATION_ERROR`, `CLIENT_NOT_YOURS`, `RESYNC_REQUIRED`,
 * `SCHEMA_CONFLICT` (the client's schema version is not served)
 * @throws {RulesChanged} when other rules were put in force before the snapshot
 */
export async function pullPage(
  context: PullContext,
  caller: Caller,
  request: PullRequest,
): Promise<PulledPage> {
  const { page, lookups } = await readSnapshot(context.store, async (view) => {
    const past = await context.past(view);
    const { catalog, book, lookups: cache } = context;
    const lookups = catalog && book && new Lookups(book, catalog, cache);
    const reader = new PageReader(context, caller, request, view, past);
    return { page: await reader.read(lookups), lookups };
  });
  lookups?.keep();
  return page;
}

/** Reads one page in one snapshot. */
class PageReader {
  readonly #context: PullContext;
  readonly #caller: Caller;
  readonly #request: PullRequest;
  readonly #view: ReadView;
  readonly #head: Head;
  readonly #past: Past;
  #granted: ReadonlySet<string> | undefined;

  constructor(
    context: PullContext,
    caller: Caller,
    request: PullRequest,
    view: ReadView,
    past: Past,
  ) {
    this.#context = context;
    this.#past = past;
    this.#caller = caller;
    this.#request = request;
    this.#view = view;
    this.#head = view.head;
  }

  async read(lookups: Lookups | undefined): Promise<PulledPage> {
    const { catalog } = this.#context;
    const { seq } = this.#head;
    const cursor = start(this.#request, this.#caller.sub, this.#context, this.#past, seq);
    const [client] = await this.#view.clients([this.#request.clientId]);
    checkOwner(client, this.#caller.sub);
    const lastMutationId = client?.lastMutationId ?? 0;
    const chain = client === undefined ? undefined : previousChain(client);
    if (catalog === undefined || lookups === undefined) {
      return this.#nothing(cursor, lastMutationId);
    }
    const { schemaVersion: version = 0 } = this.#request;
    const names = servedVersion(catalog, version);
    const scope = await readScope(this.#view, this.#caller, lookups);
    const records = await this.#records(cursor, scope);
    const plan = this.#plan(cursor, version, names, scope, records);
    const families = this.#families(records);
    const held = heldFamilies(cursor, families);
    const teller = new RowTeller(catalog, names, cursor, plan, scope, held, families);
    const told = await this.#scan(plan, records, teller);
    return this.#page({
      cursor,
      lastMutationId,
      chain,
      scope,
      plan,
      records,
      told,
      names,
      version,
    });
  }

  /** What a gateway without a schema answers. */
  #nothing(cursor: Cursor, lastMutationId: number): PulledPage {
    const life = this.#past.lifeAt(this.#head.seq);
    const { seq } = this.#head;
    const next = { ...NO_CURSOR, life, base: seq, lastMutationId };
    const result: PullResult = {
      changes: [],
      cursor: this.#sealed(next),
      complete: true,
      lastMutationId,
      serverHlc: parseHlc(this.#head.hlc) ?? ZERO_HLC,
      checkpoint: { seq, buckets: [] },
    };
    return { result, news: cursor.base === 0, watched: new Set() };
  }

  #plan(
    cursor: Cursor,
    version: number,
    names: CatalogVersion,
    scope: ReadScope,
    records: ReadonlyMap<number, BucketRecord>,
  ): CheckpointPlan {
    const learns = learnsColumns(names, cursor, version);
    const repair = new Set(this.#request.repair ?? []);
    const repaired = (bucket: number) => {
      const record = repair.size === 0 ? undefined : records.get(bucket);
      const placed = record && this.#context.book?.family(familyOfBucket(record.id));
      return record !== undefined && placed !== undefined &&
        repair.has(publicBucketId(record.id, placed));
    };
    const restart = cursor.paging !== undefined && cursor.paging.version !== version;
    return planPage(
      cursor,
      { head: this.#head.seq, learns, restart, repair: repaired },
      scope.buckets,
    );
  }

  /** The records of the buckets that are scanned: those granted, and those held that no longer are. */
  async #records(
    { held, paging }: Cursor,
    scope: ReadScope,
  ): Promise<ReadonlyMap<number, BucketRecord>> {
    const records = new Map<number, BucketRecord>();
    for (const [bucket, { record }] of scope.buckets) records.set(bucket, record);
    const scanned = [...held, ...paging?.scans ?? []].map(({ bucket }) => bucket);
    const others = new Set(scanned.filter((bucket) => !records.has(bucket)));
    if (others.size === 0) return records;
    for (const record of await this.#view.buckets([...others])) {
      if (record !== undefined) records.set(record.bucket, record);
    }
    return records;
  }

  #families(records: ReadonlyMap<number, BucketRecord>): ReadonlyMap<number, Family> {
    const families = new Map<number, Family>();
    for (const { bucket, id } of records.values()) {
      const placed = this.#context.book?.family(familyOfBucket(id));
      if (placed !== undefined) families.set(bucket, placed.family);
    }
    return families;
  }

  /** Scans the buckets in turn until the page is full. */
  async #scan(
    plan: CheckpointPlan,
    records: ReadonlyMap<number, BucketRecord>,
    teller: RowTeller,
  ): Promise<Told> {
    const limit = Math.min(this.#request.limit ?? PULL_LIMIT.default, PULL_LIMIT.max);
    const scans = [...plan.scans];
    const rows: ToldRow[] = [];
    let lookedAt = 0;
    let { position } = plan;
    const head = this.#head.seq;
    // A page that begins among the rows that left one bucket looks at its members once more at the end.
    const turns = scans.length + (position?.gone === true ? 1 : 0);
    for (let turn = 0; turn < turns; turn++) {
      const place = (plan.current + turn) % scans.length;
      let scan = scans[place] as ScanState;
      const changedSeq = records.get(scan.bucket)?.seq ?? 0;
      for (const gone of [false, true]) {
        if (position?.gone === true && !gone) continue;
        const from = gone ? scan.goneAfter : scan.memberAfter;
        let after = position ?? { after: { seq: from + 1, tie: "" } };
        position = undefined;
        while (changedSeq > from) {
          const room = Math.min(limit - rows.length, LOOKED_AT * limit - lookedAt);
          if (room <= 0) {
            return {
              rows,
              scans,
              stopped: { current: place, position: { gone, after: after.after } },
            };
          }
          this.#context.signal?.throwIfAborted();
          const page = await this.#view.scan({
            bucket: scan.bucket,
            gone,
            after: after.after,
            limit: room,
          });
          lookedAt += page.rows.length;
          for (const row of page.rows) {
            const told = teller.tell(scan.bucket, row);
            if (told !== undefined) rows.push(told);
          }
          const last: ScannedRow | undefined = page.rows.at(-1);
          if (page.complete || last === undefined) break;
          after = { after: last.position };
        }
        scan = gone ? { ...scan, goneAfter: head } : { ...scan, memberAfter: head };
        scans[place] = scan;
      }
    }
    return { rows, scans, stopped: undefined };
  }

  #page(read: Read): PulledPage {
    const { cursor, lastMutationId, chain, scope, plan, records, told, names, version } = read;
    const life = this.#past.lifeAt(this.#head.seq);
    const { seq } = this.#head;
    const { watched } = scope;
    const common = { lastMutationId, serverHlc: parseHlc(this.#head.hlc) ?? ZERO_HLC };
    const first = cursor.paging === undefined;
    if (told.stopped !== undefined) {
      const places = new Map(plan.scans.map(({ bucket }, place) => [bucket, place]));
      const changes = withBuckets(told.rows, (bucket) => places.get(bucket) ?? 0, places.size);
      const pages = (cursor.paging?.pages ?? 0) + 1;
      const through = cursor.paging?.through ?? 0;
      const { start } = plan;
      const heads = withHead(cursor.paging?.heads ?? [], seq);
      const paging = { start, heads, pages, through, version, scans: told.scans, ...told.stopped };
      const next = this.#sealed({ ...cursor, life, paging });
      const result = { ...common, changes, cursor: next, complete: false };
      return { result, news: true, watched };
    }
    const listed = first ? listedBuckets(cursor, plan, records, told.rows) : plan.scans;
    const places = new Map(listed.map(({ bucket }, place) => [bucket, place]));
    const changes = withBuckets(told.rows, (bucket) => places.get(bucket) ?? 0, plan.scans.length);
    const buckets = listed.flatMap((scan) => this.#listed(scan, cursor, scope, records, names));
    const result: PullResult = {
      ...common,
      changes,
      cursor: this.#sealed({
        life,
        base: seq,
        lastMutationId,
        version,
        held: heldAfter(scope, seq),
      }),
      complete: true,
      checkpoint: { seq, buckets },
      ...(chain === undefined || chain === "" ? {} : { chain }),
    };
    const news = changes.length > 0 || !first || this.#isFirst || this.#asksRepair ||
      lastMutationId > cursor.lastMutationId;
    return { result, news, watched };
  }

  #sealed(cursor: Cursor): string {
    return this.#context.seal.seal(writeCursor(cursor), this.#caller.sub);
  }

  get #isFirst(): boolean {
    const { cursor } = this.#request;
    return cursor === undefined || cursor === "";
  }

  get #asksRepair(): boolean {
    return (this.#request.repair?.length ?? 0) > 0;
  }

  #listed(
    scan: ScanState,
    cursor: Cursor,
    scope: ReadScope,
    records: ReadonlyMap<number, BucketRecord>,
    names: CatalogVersion,
  ): readonly BucketState[] {
    const granted: GrantedBucket | undefined = scope.buckets.get(scan.bucket);
    if (granted !== undefined) {
      const { checksum, ...bucket } = bucketStateOf(granted, this.#context.catalog, names);
      // A client that is ahead has other names, and columns fewer, than it is told by.
      const isAhead = (this.#request.schemaVersion ?? 0) > names.schema.version;
      const state = checksum === undefined || isAhead ? bucket : { ...bucket, checksum };
      return [cursor.base > 0 && isWhole(scan) ? { ...state, whole: true } : state];
    }
    const record = records.get(scan.bucket);
    const placed = record && this.#context.book?.family(familyOfBucket(record.id));
    const id = record && placed ? publicBucketId(record.id, placed) : `#${scan.bucket}`;
    // Edited rules may have another bucket of this name now; the rows of this one were told already.
    const taken = this.#names(scope).has(id);
    return [{ id: taken ? `${id}~${scan.bucket}` : id, rows: 0, gone: true }];
  }

  /** The names of the buckets that are granted. */
  #names(scope: ReadScope): ReadonlySet<string> {
    return this.#granted ??= new Set(
      [...scope.buckets.values()].map(({ record, placed }) => publicBucketId(record.id, placed)),
    );
  }
}

function heldFamilies(
  { held }: Cursor,
  families: ReadonlyMap<number, Family>,
): ReadonlyMap<number, HeldFamily> {
  return new Map(held.map(({ bucket, base, residual }) => {
    const family = families.get(bucket);
    if (family === undefined) throw resync("The rules the cursor was written by are forgotten");
    return [bucket, { family, base, residual }];
  }));
}

interface Told {
  readonly rows: readonly ToldRow[];
  readonly scans: readonly ScanState[];
  readonly stopped: {
    readonly current: number;
    readonly position: NonNullable<CheckpointPlan["position"]>;
  } | undefined;
}

interface Read {
  readonly cursor: Cursor;
  readonly lastMutationId: number;
  readonly chain: string | undefined;
  readonly scope: ReadScope;
  readonly plan: CheckpointPlan;
  readonly records: ReadonlyMap<number, BucketRecord>;
  readonly told: Told;
  readonly names: CatalogVersion;
  readonly version: number;
}

/** Of a checkpoint of one page: all buckets the first time, then those that changed. */
function listedBuckets(
  cursor: Cursor,
  plan: CheckpointPlan,
  records: ReadonlyMap<number, BucketRecord>,
  rows: readonly ToldRow[],
): readonly ScanState[] {
  if (cursor.base === 0 || plan.learns) return plan.scans;
  const mentioned = new Set(rows.flatMap(({ buckets }) => buckets));
  return plan.scans.filter((scan) => {
    const held = plan.held.get(scan.bucket);
    return held === undefined || !scan.granted || mentioned.has(scan.bucket) ||
      isWhole(scan) || (records.get(scan.bucket)?.seq ?? 0) > held.base;
  });
}

function heldAfter(scope: ReadScope, base: number): Cursor["held"] {
  return [...scope.buckets.values()].map(({ record, residual }) => ({
    bucket: record.bucket,
    base,
    residual,
  }));
}

/** Writes the buckets of each row as places in the checkpoint's list, where there are several. */
function withBuckets(
  rows: readonly ToldRow[],
  placeOf: (bucket: number) => number,
  buckets: number,
): readonly RowChange[] {
  if (buckets <= 1) return rows.map(({ change }) => change);
  const shapes = new Map<unknown, Map<string, RowChange["shape"]>>();
  return rows.map(({ change, buckets }) => {
    if (change.shape.op === "REMOVE") return change;
    const places = buckets.map(placeOf).sort((a, b) => a - b);
    let variants = shapes.get(change.shape);
    if (variants === undefined) {
      variants = new Map();
      shapes.set(change.shape, variants);
    }
    const key = places.join(" ");
    let shape = variants.get(key);
    if (shape === undefined) {
      shape = { ...change.shape, buckets: places };
      variants.set(key, shape);
    }
    return { ...change, shape };
  });
}

/** Whether the client's schema has columns now that it did not have at its checkpoint. */
function learnsColumns(names: CatalogVersion, cursor: Cursor, version: number): boolean {
  if (cursor.base === 0 || cursor.version === 0) return false;
  const isNew = (since: number) => since > cursor.version && (version === 0 || since <= version);
  for (const table of names.tables()) {
    if (isNew(table.since) || table.columns.some((column) => column && isNew(column.since))) {
      return true;
    }
  }
  return false;
}
