/**
 * The SQLite thread: checkpoints and large commits, which take longer than a request should wait.
 * Each large commit is one transaction on a connection of its own.
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

const counters: SqlCounters = { statements: 0, rowsRead: 0 };
const larges = new Map<number, Large>();

function findLarge(large: number): Large {
  const found = larges.get(large);
  if (!found) throw new Error("No such large commit");
  return found;
}

function end(large: number): void {
  const found = larges.get(large);
  larges.delete(large);
  found?.db.rollback();
  found?.db.close();
}

function follow(order: Order): Answer["rows"] {
  switch (order.kind) {
    case "checkpoint": {
      const db = openDatabase(order.file, counters, {});
      db.exec("PRAGMA wal_checkpoint(PASSIVE)");
      db.close();
      return [];
    }
    case "begin": {
      const db = openDatabase(order.file, counters, order.options);
      larges.set(order.large, {
        db,
        reads: new SqliteReads(db),
        writes: new SqliteWrites(db),
      });
      db.exec("BEGIN IMMEDIATE");
      return [];
    }
    case "rows":
      return findLarge(order.large).reads.rows(order.keys);
    case "write":
      findLarge(order.large).writes.apply(order.writes);
      return [];
    case "commit": {
      const { db, writes } = findLarge(order.large);
      writes.moveHead(order.batch);
      writes.apply(order.batch);
      db.exec("COMMIT");
      end(order.large);
      return [];
    }
    case "abort":
      end(order.large);
      return [];
  }
}

function toProblem(error: unknown): Answer["problem"] {
  if (error instanceof LakeSyncError && error.code === "BACKPRESSURE") {
    return "head moved";
  }
  return error instanceof Error ? error : new Error(String(error));
}

self.onmessage = ({ data: { id, order } }: MessageEvent<NumberedOrder>) => {
  const { statements, rowsRead } = counters;
  let rows: Answer["rows"] = [];
  let problem: Answer["problem"] = "";
  try {
    rows = follow(order);
  } catch (error) {
    problem = toProblem(error);
  }
  const answer: Answer = {
    id,
    rows,
    problem,
    statements: counters.statements - statements,
    rowsRead: counters.rowsRead - rowsRead,
  };
  self.postMessage(answer);
};
