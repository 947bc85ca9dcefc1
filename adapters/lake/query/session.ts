/**
 * A DuckDB that has some views of a lake and nothing else.
 *
 * @module
 */

import type { Duck } from "./duck.ts";
import type { FileCache, HeldFiles } from "./file_cache.ts";
import { nameSql } from "./sql.ts";
import type { PlannedView } from "./views.ts";

/** A DuckDB over views. */
export class QuerySession {
  /** The DuckDB. */
  readonly duck: Duck;
  /** What the views show; the same for those that show the same. */
  readonly id: string;
  readonly #held: HeldFiles;

  private constructor(id: string, duck: Duck, held: HeldFiles) {
    this.id = id;
    this.duck = duck;
    this.#held = held;
  }

  /**
   * Opens one.
   *
   * @param id what the views show
   * @param views the views
   * @param cache gives files paths
   * @param duck a DuckDB of its own; closed with it, also when it is not opened
   * @param more paths that may be written or read beside those of the views
   */
  static async open(
    id: string,
    views: readonly PlannedView[],
    cache: FileCache,
    duck: Duck,
    more: readonly string[],
  ): Promise<QuerySession> {
    let held: HeldFiles | undefined;
    try {
      held = await cache.hold(views.flatMap(({ needs }) => needs));
      const { paths } = held;
      for (const { name, sql } of views) {
        await duck.run(`CREATE VIEW ${nameSql(name)} AS ${sql(paths)}`);
      }
      await duck.lock([...paths.values(), ...more]);
      return new QuerySession(id, duck, held);
    } catch (error) {
      held?.release();
      duck.close();
      throw error;
    }
  }

  /** Ends it. */
  close(): void {
    this.duck.close();
    this.#held.release();
  }
}
