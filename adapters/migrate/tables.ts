/**
 * Some of the tables of an adapter, as far as one who follows it sees.
 *
 * @module
 */

import type {
  DatabaseAdapter,
  DeltaPage,
  DestinationKey,
  DestinationSchema,
  LatestState,
  Place,
} from "../adapter.ts";
import { scanOwn } from "../composite/merge.ts";
import { within } from "../composite/routes.ts";
import { DelegateAdapter } from "../delegate.ts";

/** Shows some tables of an adapter. */
export class SomeTables extends DelegateAdapter {
  readonly #names: ReadonlySet<string>;
  #ids: ReadonlySet<number> = new Set();

  /**
   * @param inner the adapter
   * @param names the tables, by their names in its newest schema
   */
  constructor(inner: DatabaseAdapter, names: readonly string[]) {
    super(inner.name, inner);
    this.#names = new Set(names);
  }

  override async schema(): Promise<DestinationSchema | undefined> {
    const schema = await this.inner.schema();
    if (schema === undefined) return undefined;
    const tables = schema.tables.filter(({ table }) => this.#names.has(table.name));
    this.#ids = new Set(tables.map(({ id }) => id));
    return { ...schema, tables: tables.map((table) => within(table, this.#names)) };
  }

  override async queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    await this.schema();
    let from = after;
    for (;;) {
      const page = await this.inner.queryDeltasSince(from, limit);
      const changes = page.changes.filter(({ key }) => key !== undefined && this.#isOwn(key.table));
      const last = page.changes.at(-1);
      if (changes.length > 0 || page.isComplete || page.isTrimmed || last === undefined) {
        return { ...page, changes };
      }
      from = last;
    }
  }

  override async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    await this.schema();
    return await scanOwn(this.inner, after, limit, (table) => this.#isOwn(table));
  }

  #isOwn(table: number): boolean {
    return this.#ids.has(table);
  }
}
