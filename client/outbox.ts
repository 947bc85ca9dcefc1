/**
 * Reading the outbox: captured changes become deltas.
 *
 * @module
 */

import type { ColumnType, Delta, Hlc, Op, Shape, Value } from "@lakesync/core";
import { toWritten } from "./convert.ts";
import type { SqliteConnection, SqlValue } from "./database/driver.ts";
import { type Layout, MASK_BITS, maskNames, type PlacedTable, valueNames } from "./layout.ts";

const OPS: readonly Op[] = ["INSERT", "UPDATE", "DELETE"];

/** How rows of one table, operation and mask are read. */
interface Reading {
  readonly shape: Shape;
  readonly positions: readonly number[];
  readonly types: readonly ColumnType[];
  readonly composite: boolean;
}

/** A captured change. */
export interface Captured {
  /** Its number in the order of writing. */
  readonly n: number;
  /** What is sent. */
  readonly delta: Delta;
}

/** Reads the outbox, or a table of the same columns. */
export class OutboxReader {
  readonly #layout: Layout;
  readonly #masks: number;
  readonly #readings = new Map<string, Reading>();
  /** The columns that {@linkcode OutboxReader.read} wants, in order. */
  readonly columns: string;

  /** @param layout where columns are kept */
  constructor(layout: Layout) {
    this.#layout = layout;
    const masks = maskNames(layout);
    this.#masks = masks.length;
    this.columns = ["tbl", "op", "row_id", ...masks, ...valueNames(layout)]
      .join(", ");
  }

  /**
   * Reads one row.
   *
   * @param row the cells of {@linkcode OutboxReader.columns}
   * @param hlc its stamp
   * @param written the stamp before it was stamped anew
   * @returns the change; changes of the same kind share their shape
   */
  read(row: readonly SqlValue[], hlc: Hlc | undefined, written?: Hlc): Delta {
    const masks = row.slice(3, 3 + this.#masks);
    const key = `${row[0]} ${row[1]} ${masks.join(" ")}`;
    let reading = this.#readings.get(key);
    if (reading === undefined) {
      reading = this.#readingOf(Number(row[0]), Number(row[1]), masks);
      this.#readings.set(key, reading);
    }
    const { shape, positions, types, composite } = reading;
    const values = new Array<Value>(positions.length);
    for (let i = 0; i < values.length; i++) {
      const cell = row[3 + this.#masks + (positions[i] ?? 0)] ?? null;
      values[i] = toWritten(cell, types[i] ?? "string");
    }
    const rowId = String(row[2]);
    return {
      shape,
      rowId: composite ? JSON.stringify(JSON.parse(rowId)) : rowId,
      hlc,
      values,
      deltaId: undefined,
      ...(written === undefined ? {} : { written }),
    };
  }

  #readingOf(
    id: number,
    op: number,
    masks: readonly SqlValue[],
  ): Reading {
    const table: PlacedTable | undefined = this.#layout.byId.get(id);
    const places = (table?.places ?? []).filter(({ position }) =>
      Number(masks[Math.floor(position / MASK_BITS)]) &
      (1 << (position % MASK_BITS))
    );
    return {
      shape: {
        op: OPS[op] ?? "UPDATE",
        table: table?.name ?? "",
        columns: places.map(({ name }) => name),
      },
      positions: places.map(({ position }) => position),
      types: places.map(({ type }) => type),
      composite: (table?.table?.primaryKey.length ?? 1) > 1,
    };
  }

  /**
   * Reads a range of the outbox.
   *
   * @param db the writer
   * @param first the first number
   * @param last the last number
   * @returns the changes in order
   */
  async range(
    db: SqliteConnection,
    first: number,
    last: number,
  ): Promise<Captured[]> {
    const rows = await db.values(
      `SELECT n, hlc, written, ${this.columns} FROM _lakesync_outbox WHERE n BETWEEN ? AND ? ORDER BY n`,
      [first, last],
    );
    return rows.map((row) => this.#captured(row));
  }

  /**
   * Reads what a refused transaction had written.
   *
   * @param db the writer
   * @param dead its dead letter
   * @param first the first number
   * @param last the last number
   * @returns the changes in order
   */
  async refused(
    db: SqliteConnection,
    dead: number,
    first: number,
    last: number,
  ): Promise<Captured[]> {
    const rows = await db.values(
      `SELECT n, hlc, written, ${this.columns} FROM _lakesync_dead_change
       WHERE dead = ? AND n BETWEEN ? AND ? ORDER BY n`,
      [dead, first, last],
    );
    return rows.map((row) => this.#captured(row));
  }

  #captured([n, hlc, written, ...row]: readonly SqlValue[]): Captured {
    const first = written === null ? undefined : toHlc(written);
    return { n: Number(n), delta: this.read(row, toHlc(hlc), first) };
  }
}

function toHlc(stamp: SqlValue | undefined): Hlc {
  return BigInt(String(stamp)) as Hlc;
}
