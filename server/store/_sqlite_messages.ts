/**
 * What the main thread and the SQLite thread say to each other.
 *
 * @module
 */

import type { SqliteOptions } from "./_sqlite_layout.ts";
import type { CommitBatch, RowKey, StoredRow, Writes } from "./store.ts";

/** What is asked of the SQLite thread. `large` names a large commit. */
export type Order =
  | { readonly kind: "checkpoint"; readonly file: string }
  | {
    readonly kind: "begin";
    readonly large: number;
    readonly file: string;
    readonly options: SqliteOptions;
  }
  | {
    readonly kind: "rows";
    readonly large: number;
    readonly keys: readonly RowKey[];
  }
  | { readonly kind: "write"; readonly large: number; readonly writes: Writes }
  | {
    readonly kind: "commit";
    readonly large: number;
    readonly batch: CommitBatch;
  }
  | { readonly kind: "abort"; readonly large: number };

/** An order with the number its answer carries. */
export interface NumberedOrder {
  /** The number. */
  readonly id: number;
  /** The order. */
  readonly order: Order;
}

/** An answer. */
export interface Answer {
  /** The order's number. */
  readonly id: number;
  /** Rows that were asked for. */
  readonly rows: readonly (StoredRow | undefined)[];
  /** Statements executed for it. */
  readonly statements: number;
  /** Rows they returned. */
  readonly rowsRead: number;
  /** What went wrong; "head moved" is told apart. */
  readonly problem: "" | "head moved" | Error;
}
