/**
 * Several database adapters as one: each table is in one of them. Each keeps its own position, in its
 * own transaction; together they stand where the one furthest behind stands, and each takes of a
 * batch what it does not have.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  DestinationError,
  type DestinationKey,
  type FlushBatch,
  type FlushPosition,
  type LatestState,
  type Move,
} from "../adapter.ts";
import { atOnce } from "../at_once.ts";
import type { FlushStatus } from "../flush/status.ts";
import { samePosition } from "../place.ts";
import { mergePages, mergeRows, scanOwn } from "./merge.ts";
import { backBefore, claimOf, commonPosition, keepingFloor, reaches, shareOf } from "./position.ts";
import { Routes } from "./routes.ts";

/** What a composite is made of. */
export interface CompositeOptions {
  /** Where tables go, by their names. */
  readonly routes: Readonly<Record<string, DatabaseAdapter>>;
  /** Where all others go. */
  readonly default: DatabaseAdapter;
  /** Its name, for status and log; `composite` unless given. */
  readonly name?: string;
}

/**
 * Makes one adapter of several, by tables. It owns them: they are closed with it.
 *
 * @param options where tables go
 *
 * @example
 * ```ts
 * import { compositeAdapter, memoryAdapter } from "@lakesync/adapters";
 *
 * const adapter = compositeAdapter({
 *   routes: { events: memoryAdapter("archive") },
 *   default: memoryAdapter("main"),
 * });
 * console.assert(await adapter.position() === undefined);
 * await adapter.close();
 * ```
 */
export function compositeAdapter(options: CompositeOptions): DatabaseAdapter {
  return new CompositeAdapter(options);
}

class CompositeAdapter implements DatabaseAdapter {
  readonly name: string;
  readonly #routes: Routes;
  readonly #children: readonly DatabaseAdapter[];

  constructor({ routes, default: other, name = "composite" }: CompositeOptions) {
    this.name = name;
    this.#routes = new Routes(routes, other);
    this.#children = this.#routes.children;
  }

  get followers(): readonly FlushStatus[] {
    return this.#children.flatMap(({ followers = [] }) => followers);
  }

  get capabilities(): Capabilities {
    const all = this.#children.map(({ capabilities }) => capabilities);
    return {
      readable: all.every(({ readable }) => readable),
      materialised: all.every(({ materialised }) => materialised),
      foreignKeys: all.length === 1 && all.every(({ foreignKeys }) => foreignKeys),
      transactionalDdl: all.length === 1 && all.every(({ transactionalDdl }) => transactionalDdl),
      nulInText: all.every(({ nulInText }) => nulInText),
      mergesRows: all.every(({ mergesRows }) => mergesRows),
      knowsChanges: all.every(({ knowsChanges }) => knowsChanges),
    };
  }

  async position(): Promise<FlushPosition | undefined> {
    return commonPosition(await this.#positions());
  }

  async ensureSchema(...[schema]: Parameters<DatabaseAdapter["ensureSchema"]>): Promise<void> {
    const schemas = await this.#routes.split(schema);
    await atOnce(this.#children.map((child, i) => async () => {
      const own = schemas[i];
      if (own !== undefined) await child.ensureSchema(own);
    }));
  }

  async insertDeltas(batch: FlushBatch): Promise<void> {
    await this.#routes.load();
    const positions = await this.#standing(batch);
    const wentBack = await atOnce(this.#children.map((child, i) => async () => {
      const own = positions[i];
      const to = own === undefined ? undefined : backBefore(own, batch);
      if (to !== undefined) await child.rewind({ from: own, to });
      return to !== undefined;
    }));
    // It may now stand elsewhere and has rows to be set, of which the flusher does not know.
    if (wentBack.includes(true)) {
      throw new DestinationError("now", `A part of ${this.name} went back, ask for the position`);
    }
    await atOnce(this.#children.map((child, i) => async () => {
      const share = shareOf(
        positions[i],
        batch,
        (table) => this.#routes.forRows(table) === child,
        (change) => this.#routes.ofChange(change) === child,
      );
      if (share !== undefined) await child.insertDeltas(share);
    }));
  }

  /** Those that are at or after the place go back to it; what is before it stays. */
  rewind(move: Move): Promise<void> {
    return this.#moveAll(move, async (child, own) => {
      if (own.from === undefined || reaches(own.from, own.to)) return await child.rewind(own);
      const claim = claimOf(own.from, own.to.writer);
      if (claim !== undefined) await child.insertDeltas(claim);
    });
  }

  refill(move: Move): Promise<void> {
    return this.#moveAll(move, (child, own) => child.refill(own));
  }

  async unsettled(limit: number): Promise<readonly DestinationKey[]> {
    const keys = await atOnce(this.#children.map((child) => () => child.unsettled(limit)));
    return keys.flat().slice(0, limit);
  }

  async schema(): ReturnType<DatabaseAdapter["schema"]> {
    const schemas = await atOnce(this.#children.map((child) => () => child.schema()));
    const known = schemas.filter((schema) => schema !== undefined);
    if (known.length < schemas.length) return undefined;
    await this.#routes.load();
    const tables = known.flatMap(({ tables }, i) => {
      const child = this.#children[i];
      return tables.filter(({ id }) => this.#routes.ofNumber(id) === child);
    });
    const version = Math.min(...known.map(({ version }) => version));
    return { version, tables: tables.sort((a, b) => a.id - b.id) };
  }

  async queryDeltasSince(
    ...[after, limit]: Parameters<DatabaseAdapter["queryDeltasSince"]>
  ): ReturnType<DatabaseAdapter["queryDeltasSince"]> {
    const through = await this.position() ?? { seq: 0 };
    const pages = await atOnce(
      this.#children.map((child) => () => child.queryDeltasSince(after, limit)),
    );
    return mergePages(pages, through, limit);
  }

  async getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    await this.#routes.load();
    const found = await atOnce(this.#children.map((child) => async () => {
      const own = keys.flatMap((key, i) => this.#isOf(child, key.table) ? [{ key, i }] : []);
      if (own.length === 0) return [];
      const rows = await child.getLatestState(own.map(({ key }) => key));
      return own.map(({ i }, at) => [i, rows[at]] as const);
    }));
    const rows: (LatestState | undefined)[] = keys.map(() => undefined);
    for (const [i, row] of found.flat()) rows[i] ??= row;
    return rows;
  }

  async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    await this.#routes.load();
    const pages = await atOnce(
      this.#children.map((child) => () =>
        scanOwn(child, after, limit, (table) => this.#isOf(child, table))
      ),
    );
    return mergeRows(pages, limit);
  }

  async forget(...[what]: Parameters<DatabaseAdapter["forget"]>): Promise<boolean> {
    const { seq } = await this.position() ?? { seq: 0 };
    const throughSeq = Math.min(what.throughSeq, seq);
    const more = await atOnce(
      this.#children.map((child) => () => child.forget({ ...what, throughSeq })),
    );
    return more.includes(true);
  }

  async forgottenSeq(): Promise<number> {
    return Math.max(
      ...await atOnce(this.#children.map((child) => () => child.forgottenSeq())),
    );
  }

  async problems(limit: number): ReturnType<DatabaseAdapter["problems"]> {
    const problems = await atOnce(this.#children.map((child) => () => child.problems(limit)));
    return problems.flat().sort((a, b) => a.atMs - b.atMs).slice(0, limit);
  }

  async abandon(): Promise<void> {
    await atOnce(this.#children.map((child) => async () => await child.abandon?.()));
  }

  async close(): Promise<void> {
    await atOnce(this.#children.map((child) => () => child.close()));
  }

  #positions(): Promise<readonly (FlushPosition | undefined)[]> {
    return atOnce(this.#children.map((child) => () => child.position()));
  }

  /** Where each stands, if together they stand where a write expects them. */
  async #standing({ from }: Pick<Move, "from">): Promise<readonly (FlushPosition | undefined)[]> {
    const positions = await this.#positions();
    const common = commonPosition(positions);
    if (samePosition(common, from)) return positions;
    throw new DestinationError(
      "now",
      `The flush position of ${this.name} is ${common?.seq ?? "none"} and not the expected ${
        from?.seq ?? "none"
      }, ask for it again`,
    );
  }

  async #moveAll(
    move: Move,
    run: (child: DatabaseAdapter, move: Move) => Promise<void>,
  ): Promise<void> {
    const positions = await this.#standing(move);
    await atOnce(this.#children.map((child, i) => () => {
      const own = positions[i];
      return run(child, { from: own, to: keepingFloor(move.to, own, move.from) });
    }));
  }

  /** Whether a table is in a child; one that nobody knows may be in any. */
  #isOf(child: DatabaseAdapter, table: number): boolean {
    return (this.#routes.ofNumber(table) ?? child) === child;
  }
}
