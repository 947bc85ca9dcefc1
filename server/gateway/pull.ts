/**
 * Pages of changes: what a scan of the bucket index means to one client, by the rules of
 * docs/adr/0001-spine.md.
 *
 * @module
 */

import {
  type ChangeShape,
  LakeSyncError,
  parseHlc,
  PULL_LIMIT,
  type PullRequest,
  type PullResult,
  type RowChange,
  type Value,
  ZERO_HLC,
} from "@lakesync/core";
import type { BucketPage, ScannedRow, Store } from "../store/store.ts";
import type { Catalog, CatalogColumn, CatalogTable } from "./catalog.ts";
import { checkOwner } from "./clients.ts";
import { type Cursor, readCursor, writeCursor } from "./cursor.ts";
import { ALL_BUCKET } from "./placement.ts";
import { isMember, type Membership, readRecord, wasMemberAfter, wasMemberAt } from "./record.ts";

/** What a pull needs of the gateway. */
export interface PullContext {
  /** Its data. */
  readonly store: Store;
  /** Its schema, once there is one. */
  readonly catalog: Catalog | undefined;
  /** History at or before this seq is forgotten. */
  readonly horizonSeq: number;
  /** Whether a seq that a client saw in a life of the data is part of its history. */
  readonly isOurs: (life: string, seq: number) => boolean;
  /** The life a head belongs to. */
  readonly lifeAt: (headSeq: number) => string;
}

/** A page, and whether it tells the client anything it did not have. */
export interface PulledPage {
  /** The page. */
  readonly result: PullResult;
  /** Whether there are changes, more pages, or newly consumed transactions. */
  readonly news: boolean;
}

function resync(why: string): LakeSyncError {
  return new LakeSyncError(
    "RESYNC_REQUIRED",
    `${why}, pull again without a cursor`,
  );
}

function start(request: PullRequest, context: PullContext): Cursor {
  const { isOurs, horizonSeq } = context;
  if (request.cursor === undefined || request.cursor === "") {
    return { life: "", base: 0, lastMutationId: 0, version: 0 };
  }
  const cursor = readCursor(request.cursor);
  if (cursor === undefined) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The cursor was never one of this gateway's",
    );
  }
  const { base, paging } = cursor;
  if (!isOurs(cursor.life, Math.max(base, paging?.start ?? 0, paging?.after.seq ?? 0))) {
    throw resync("The gateway's data is another than the cursor's, or was restored");
  }
  if (cursor.base > 0 && cursor.base < horizonSeq) {
    throw resync("The cursor is older than the kept history");
  }
  return cursor;
}

/**
 * Reads one page.
 *
 * @param context the gateway
 * @param sub the user who asks
 * @param request what is asked
 * @returns the page
 * @throws {LakeSyncError} `VALIDATION_ERROR`, `CLIENT_NOT_YOURS`, `RESYNC_REQUIRED`
 */
export async function pullPage(
  context: PullContext,
  sub: string,
  request: PullRequest,
): Promise<PulledPage> {
  const cursor = start(request, context);
  const limit = Math.min(request.limit ?? PULL_LIMIT.default, PULL_LIMIT.max);
  const version = request.schemaVersion ?? 0;
  const paging = cursor.paging?.version === version ? cursor.paging : undefined;
  const learns = learnsColumns(context.catalog, cursor, version);
  const firstSeq = learns ? 0 : cursor.base;
  const page = await context.store.scanBucket({
    bucket: ALL_BUCKET.bucket,
    after: paging?.after ?? { seq: firstSeq + 1, tie: "" },
    goneAfterSeq: cursor.base > 0 ? cursor.base : cursor.paging?.start ?? Number.MAX_SAFE_INTEGER,
    clientId: request.clientId,
    limit,
  });
  checkOwner(page.client, sub);
  if (cursor.base > page.head.seq) {
    throw resync("The gateway was restored to an earlier state");
  }
  const pageStart = cursor.paging?.start ?? page.head.seq;
  const reader = new PageReader(
    context.catalog,
    cursor,
    pageStart,
    version,
    learns,
  );
  const changes = page.rows.flatMap((row) => reader.change(row) ?? []);
  const life = context.lifeAt(page.head.seq);
  const result = finish(page, { ...cursor, life }, changes, pageStart, version);
  const news = changes.length > 0 || !page.complete || request.cursor === undefined ||
    result.lastMutationId > cursor.lastMutationId;
  return { result, news };
}

function finish(
  page: BucketPage,
  cursor: Cursor,
  changes: readonly RowChange[],
  pageStart: number,
  version: number,
): PullResult {
  const { head, client, bucket } = page;
  const lastMutationId = client?.lastMutationId ?? 0;
  const common = {
    changes,
    lastMutationId,
    serverHlc: parseHlc(head.hlc) ?? ZERO_HLC,
  };
  const after = page.rows.at(-1)?.position;
  if (!page.complete && after !== undefined) {
    const { paging: _, ...base } = cursor;
    const next = writeCursor({
      ...base,
      paging: { start: pageStart, version, after },
    });
    return { ...common, cursor: next, complete: false };
  }
  const { rows = 0, checksum = 0 } = bucket ?? {};
  return {
    ...common,
    cursor: writeCursor({
      life: cursor.life,
      base: head.seq,
      lastMutationId,
      version,
    }),
    complete: true,
    checkpoint: {
      seq: head.seq,
      buckets: [{ id: ALL_BUCKET.id, rows, checksum }],
    },
  };
}

function known(since: number, version: number): boolean {
  return version === 0 || since <= version;
}

/** Whether the client's schema has columns now that it did not have at its checkpoint. */
function learnsColumns(
  catalog: Catalog | undefined,
  cursor: Cursor,
  version: number,
): boolean {
  if (catalog === undefined || cursor.base === 0 || cursor.version === 0) {
    return false;
  }
  const isNew = (since: number) => since > cursor.version && known(since, version);
  for (const table of catalog.tables()) {
    if (isNew(table.since) || [...table.byName.values()].some(({ since }) => isNew(since))) {
      return true;
    }
  }
  return false;
}

/** Turns rows of a scan into what one client is told. */
class PageReader {
  readonly #shapes = new Map<string, ChangeShape>();

  constructor(
    readonly catalog: Catalog | undefined,
    readonly cursor: Cursor,
    readonly start: number,
    readonly version: number,
    readonly learns: boolean,
  ) {}

  change(row: ScannedRow): RowChange | undefined {
    const table = this.catalog?.tableById(row.table);
    if (table === undefined || !known(table.since, this.version)) {
      return undefined;
    }
    const record = readRecord(row.data);
    const membership = record.memberships.find(({ bucket }) => bucket === ALL_BUCKET.bucket);
    if (membership === undefined) return undefined;
    if (!isMember(membership)) return this.#remove(row, table, membership);
    const had = this.cursor.base > 0 &&
      wasMemberAt(membership, this.cursor.base);
    const reborn = this.#reborn(membership, had);
    const columns: string[] = [];
    const values: Value[] = [];
    const told = new Set<number>();
    for (const group of record.state.cells) {
      for (let i = 0; i < group.columns.length; i++) {
        const column = table.columns[group.columns[i] as number];
        if (column === undefined || !known(column.since, this.version)) {
          continue;
        }
        told.add(column.id);
        if (had && !reborn && group.seq <= this.cursor.base && !this.#isNew(column)) {
          continue;
        }
        columns.push(column.name);
        values.push(group.values[i] ?? null);
      }
    }
    if (reborn) this.#hide(table, told, columns, values);
    if (had && columns.length === 0 && membership.seq <= this.cursor.base) {
      return undefined;
    }
    return {
      shape: this.#shape("PUT", table.table.name, columns),
      rowId: row.rowId,
      values,
    };
  }

  #remove(
    row: ScannedRow,
    table: CatalogTable,
    membership: Membership,
  ): RowChange | undefined {
    const had = this.cursor.base > 0 &&
      wasMemberAt(membership, this.cursor.base);
    if (!had && !wasMemberAfter(membership, this.start)) return undefined;
    return {
      shape: this.#shape("REMOVE", table.table.name, []),
      rowId: row.rowId,
      values: [],
    };
  }

  #isNew({ since }: CatalogColumn): boolean {
    return this.learns && since > this.cursor.version;
  }

  /** Whether the client may hold cells of this row from before a deletion. */
  #reborn({ spans }: Membership, had: boolean): boolean {
    const entered = spans.at(-1) ?? 0;
    return spans.length > 1 && entered > (had ? this.cursor.base : this.start);
  }

  #hide(
    table: CatalogTable,
    told: ReadonlySet<number>,
    columns: string[],
    values: Value[],
  ): void {
    for (const { id, name, since } of table.byName.values()) {
      if (
        told.has(id) || table.table.byName.get(name)?.key ||
        !known(since, this.version)
      ) continue;
      columns.push(name);
      values.push(null);
    }
  }

  #shape(
    op: "PUT" | "REMOVE",
    table: string,
    columns: readonly string[],
  ): ChangeShape {
    const key = `${op} ${table} ${columns.join(" ")}`;
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { op, table, columns };
      this.#shapes.set(key, shape);
    }
    return shape;
  }
}
