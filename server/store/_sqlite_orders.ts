/**
 * What takes longer than a request should wait: checkpoints and large commits. Each large commit
 * is one transaction on a connection of its own. The SQLite thread follows these orders.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { Connection, SqlCounters } from "./_sqlite.ts";
import { openDatabase } from "./_sqlite_layout.ts";
import type { Answer, NumberedOrder, Order } from "./_sqlite_messages.ts";
import { SqliteReads } from "./_sqlite_reads.ts";
import { SqliteWrites } from "./_sqlite_writes.ts";

interface Large {
  readonly db: Connection;
  readonly reads: SqliteReads;
  readonly writes: SqliteWrites;
}

/** Follows orders one by one. */
export class SqliteOrders {
  /** Of large commits; checkpoints are upkeep, which no request asked for. */
  readonly #counters: SqlCounters = { statements: 0, rowsRead: 0 };
  readonly #larges = new Map<number, Large>();

  /**
   * Follows an order. What goes wrong is part of the answer.
   *
   * @param numbered the order and its number
   * @returns the answer
   */
  follow({ id, order }: NumberedOrder): Answer {
    const { statements, rowsRead } = this.#counters;
    let rows: Answer["rows"] = [];
    let problem: Answer["problem"] = "";
    try {
      rows = this.#do(order);
    } catch (error) {
      problem = toProblem(error);
    }
    return {
      id,
      rows,
      problem,
      statements: this.#counters.statements - statements,
      rowsRead: this.#counters.rowsRead - rowsRead,
    };
  }

  #do(order: Order): Answer["rows"] {
    switch (order.kind) {
      case "checkpoint": {
        const db = openDatabase(order.file, { statements: 0, rowsRead: 0 }, {});
        db.exec("PRAGMA wal_checkpoint(PASSIVE)");
        db.close();
        return [];
      }
      case "begin": {
        const db = openDatabase(order.file, this.#counters, order.options);
        this.#larges.set(order.large, {
          db,
          reads: new SqliteReads(db),
          writes: new SqliteWrites(db),
        });
        db.exec("BEGIN IMMEDIATE");
        return [];
      }
      case "rows":
        return this.#find(order.large).reads.rows(order.keys);
      case "write":
        this.#find(order.large).writes.apply(order.writes);
        return [];
      case "commit": {
        const { db, writes } = this.#find(order.large);
        writes.moveHead(order.batch);
        writes.apply(order.batch);
        db.exec("COMMIT");
        this.#end(order.large);
        return [];
      }
      case "abort":
        this.#end(order.large);
        return [];
    }
  }

  #find(large: number): Large {
    const found = this.#larges.get(large);
    if (!found) throw new Error("No such large commit");
    return found;
  }

  #end(large: number): void {
    const found = this.#larges.get(large);
    this.#larges.delete(large);
    found?.db.rollback();
    found?.db.close();
  }
}

function toProblem(error: unknown): Answer["problem"] {
  if (error instanceof LakeSyncError && error.code === "BACKPRESSURE") {
    return "head moved";
  }
  return error instanceof Error ? error : new Error(String(error));
}
