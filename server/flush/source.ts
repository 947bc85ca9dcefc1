/**
 * The log of a gateway as what destinations follow.
 *
 * @module
 */

import type { Change, RowEffect } from "@lakesync/adapters";
import type { ChangeSource, SourceEntry } from "@lakesync/adapters/flush";
import type { Value } from "@lakesync/core";
import type { Gateway } from "../gateway/gateway.ts";
import type { HistoryChange, HistoryEntry, HistoryRow } from "../gateway/history.ts";

/** The part of a gateway that is followed. */
export type FollowedGateway = Pick<Gateway, "history" | "onCommit">;

/**
 * Lets destinations follow a gateway.
 *
 * @param gateway the gateway
 */
export function gatewaySource(gateway: FollowedGateway): ChangeSource {
  const { history } = gateway;
  return {
    get schema() {
      return history.schema;
    },
    head: () => history.head(),
    async read(after, limit) {
      const { entries, ...page } = await history.read(after, limit);
      return { ...page, entries: entries.map(entryOf) };
    },
    async rows(keys) {
      const { rows, seq } = await history.rows(keys);
      return { rows: rows.map(wholeRow), seq };
    },
    async walk(after, limit) {
      const { rows, seq, place } = await history.walk(after, limit);
      return { rows: rows.map(wholeRow), seq, place };
    },
    keepAfter: (seq) => history.keepAfter(seq),
    onCommit: (listener) => gateway.onCommit(listener),
  };
}

function wholeRow(row: HistoryRow): RowEffect {
  return { ...row, replaces: true };
}

function entryOf(entry: HistoryEntry): SourceEntry {
  const { seq, slice, last, bytes, committedMs } = entry;
  const changes = entry.changes.map((change) => changeOf(entry, change));
  return { seq, slice, last, bytes, committedMs, changes };
}

function changeOf(
  entry: HistoryEntry,
  { delta, effect, columnIds }: HistoryChange,
): Change {
  const { clientId, mutationId, seq, slice, committedMs, schemaVersion } = entry;
  const { shape, rowId, hlc, deltaId } = delta;
  const columns: Record<string, Value> = {};
  for (const [i, name] of shape.columns.entries()) columns[name] = delta.values[i] ?? null;
  return {
    deltaId,
    op: shape.op,
    table: shape.table,
    rowId,
    columns,
    hlc,
    clientId,
    mutationId,
    seq,
    slice,
    committedMs,
    schemaVersion,
    effect,
    ...(columnIds === undefined ? {} : { columnIds }),
  };
}
