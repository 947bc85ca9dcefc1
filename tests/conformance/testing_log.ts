/**
 * A log as a gateway would have it, made by hand: tables with numbers, commits, lives and positions.
 * Every commit is a second after the one before it.
 *
 * @module
 */

import type {
  Cell,
  Change,
  DatabaseAdapter,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Place,
  PositionLife,
  RowEffect,
} from "@lakesync/adapters";
import {
  type Hlc,
  makeHlc,
  type Op,
  parseSchema,
  type SchemaSpec,
  sha256Hex,
  type Stamp,
  type Value,
} from "@lakesync/core";

/** When the first commit is, in milliseconds since 1970. */
export const START_MS: number = Date.UTC(2026, 0, 31);

/** What a test writes: by the names of the newest schema. */
export interface Written {
  readonly op?: Op;
  readonly table: string;
  readonly rowId: string;
  /** Cells by the column's name. */
  readonly cells?: Readonly<Record<string, Value>>;
  readonly isVisible?: boolean;
  readonly replaces?: boolean;
  /** `unsettles`: only the row is known; `unknown`: not even that. */
  readonly effect?: "unsettles" | "unknown";
  /** Cells without stamps. */
  readonly isUnstamped?: boolean;
}

/** Numbers that stay when names change. */
type Numbers = ReadonlyMap<string, { readonly id: number; readonly columns: readonly number[] }>;

/**
 * Gives numbers to the tables of a schema, in order.
 *
 * @param spec the schema
 * @param numbers other numbers than those
 */
export function numbered(spec: SchemaSpec, numbers: Numbers = new Map()): DestinationSchema {
  const { version, tables } = parseSchema(spec);
  return {
    version,
    tables: [...tables.values()].map((table, i) => ({
      id: numbers.get(table.name)?.id ?? i + 1,
      table,
      columnIds: numbers.get(table.name)?.columns ?? table.columns.map((_, j) => j + 1),
    })),
  };
}

/** Two tables that reference nothing. */
export const TODOS: SchemaSpec = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", n: "integer" },
    },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
  },
};

/** A log that an adapter is flushed from. */
export class TestLog {
  readonly #adapter: DatabaseAdapter;
  #count = 0;
  schema: DestinationSchema;
  seq = 0;
  lives: readonly PositionLife[] = [{ id: "life-1", fromSeq: 0 }];
  writer = "writer-1";

  /**
   * @param adapter what is tested
   * @param schema the tables
   */
  constructor(adapter: DatabaseAdapter, schema: DestinationSchema = numbered(TODOS)) {
    this.#adapter = adapter;
    this.schema = schema;
  }

  /** Makes the adapter ready and claims it. */
  async begin(): Promise<this> {
    await this.#adapter.ensureSchema(this.schema);
    await this.insert([]);
    return this;
  }

  /** The number of a table. */
  table(name: string): number {
    return this.#table(name).id;
  }

  /** The key of a row. */
  key(table: string, rowId: string): DestinationKey {
    return { table: this.table(table), rowId };
  }

  /** The number of a column. */
  column(table: string, name: string): number {
    const { table: { columns }, columnIds } = this.#table(table);
    return columnIds[columns.findIndex((column) => column.name === name)] ?? 0;
  }

  /** The position of a place. */
  at(place: Place, more: Pick<FlushPosition, "filled" | "floor"> = {}): FlushPosition {
    const { seq, slice } = place;
    return {
      seq,
      ...(slice === undefined ? {} : { slice }),
      lives: this.lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < seq),
      writer: this.writer,
      ...more,
    };
  }

  /** The next stamp. */
  stamp(): Stamp {
    return { hlc: makeHlc(START_MS + ++this.#count, this.#count % 7), clientId: "client-1" };
  }

  /** What a row becomes. */
  effect(written: Written, stamp: Stamp | undefined = undefined): RowEffect {
    const { table, rowId, op = "UPDATE", cells = {}, isVisible, replaces = false } = written;
    return {
      key: this.key(table, rowId),
      isVisible: isVisible ?? op !== "DELETE",
      replaces,
      cells: Object.entries(cells).map(([name, value]): Cell => {
        const column = this.column(table, name);
        return stamp === undefined ? [column, value] : [column, value, stamp];
      }),
    };
  }

  /** The changes of a commit, or of one slice of it. */
  changes(seq: number, written: readonly Written[], slice = 0): readonly Change[] {
    return written.map((each) => this.#change(each, seq, slice));
  }

  /** Commits one transaction, with the next seq. */
  commit(...written: readonly Written[]): readonly Change[] {
    return this.changes(++this.seq, written);
  }

  /** Writes changes from where the adapter stands to the place of the last, or to another. */
  async insert(
    changes: readonly Change[],
    more: Partial<FlushBatch> = {},
  ): Promise<FlushPosition> {
    const from = await this.#adapter.position();
    const { filled, floor } = from ?? {};
    const held = {
      ...(filled === undefined ? {} : { filled }),
      ...(floor === undefined ? {} : { floor }),
    };
    const to = this.at({ seq: changes.at(-1)?.seq ?? from?.seq ?? 0 }, held);
    const batch = { from, to, rows: [], changes, isWhole: true, ...more };
    await this.#adapter.insertDeltas(batch);
    return batch.to;
  }

  /** Goes back to a commit, and begins another life there. */
  async rewind(seq: number, life: string): Promise<FlushPosition> {
    const from = await this.#adapter.position();
    const { floor } = from ?? {};
    const to = this.at({ seq }, floor === undefined ? {} : { floor });
    await this.#adapter.rewind({ from, to });
    this.seq = seq;
    const kept = this.lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < seq);
    this.lives = [...kept, { id: life, fromSeq: seq }];
    return to;
  }

  #table(name: string): DestinationSchema["tables"][number] {
    const found = this.schema.tables.find(({ table }) => table.name === name);
    if (found === undefined) throw new Error(`There is no table ${name}`);
    return found;
  }

  #change(written: Written, seq: number, slice: number): Change {
    const stamp = this.stamp();
    const { op = "UPDATE", table, rowId, cells = {}, effect, isUnstamped } = written;
    const { hlc, clientId } = stamp;
    return {
      deltaId: deltaIdOf(hlc),
      op,
      table,
      rowId,
      columns: cells,
      hlc,
      clientId,
      mutationId: seq,
      seq,
      slice,
      committedMs: START_MS + seq * 1_000,
      schemaVersion: this.schema.version,
      effect: effect === undefined
        ? this.effect(written, isUnstamped ? undefined : stamp)
        : undefined,
      ...(effect === "unsettles" ? { unsettles: this.key(table, rowId) } : {}),
    };
  }
}

function deltaIdOf(hlc: Hlc): string {
  return sha256Hex(`delta ${hlc}`);
}
