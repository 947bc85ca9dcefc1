/**
 * What a gateway must do, without any of its stores, families or scans: rows by core's merge, rules
 * as plain SQL.
 *
 * @module
 */

import {
  type CellKind,
  type Change,
  type Claims,
  EMPTY_ROW,
  forEachCell,
  isVisible,
  keyOf,
  kindOf,
  makeHlc,
  merge,
  type Op,
  OPEN_RULES,
  parseRules,
  parseSchema,
  type RowState,
  type Rules,
  type RulesSpec,
  type Schema,
  type Table,
  type Value,
} from "@lakesync/core";
import type { Mirror, Reader } from "./mirror.ts";
import {
  type ClientPlan,
  columnsIn,
  type DeltaPlan,
  nameIn,
  type Plan,
  rulesIn,
  schemaIn,
  type TablePlan,
  tablesIn,
} from "./plan.ts";

/** When worlds begin, in milliseconds since 1970. */
export const WORLD_START_MS: number = Date.UTC(2026, 0, 1);

/** A row in a caller's scope: its cells that are shown and not null, under their first names. */
export type ShownRow = ReadonlyMap<string, Value>;

/** A caller's scope: rows by the table's first name and the rowId. */
export type ShownTables = ReadonlyMap<string, ReadonlyMap<string, ShownRow>>;

/** A client as it is now. */
export type Who = Pick<ClientPlan, "clientId" | "sub" | "admin"> & { readonly claims: Claims };

/** Why a transaction is refused: the first delta that is. */
export interface Refusal {
  readonly delta: number;
  readonly code: "FORBIDDEN_WRITE" | "VALIDATION_ERROR" | "NO_SUCH_ROW";
}

/** Whose cells wait in a row for its INSERT. */
type Waiting = Pick<Who, "clientId" | "claims">;

/** A table under all its names. */
interface Known {
  readonly plan: TablePlan;
  /** The table as the gateway's schema has it; undefined while it does not. */
  table: Table | undefined;
  readonly kinds: readonly CellKind[];
  readonly rows: Map<string, RowState>;
  readonly waiting: Map<string, Waiting>;
}

function setWaiting({ waiting }: Known, rowId: string, writer: Waiting | undefined): void {
  if (writer === undefined) waiting.delete(rowId);
  else waiting.set(rowId, writer);
}

/** The reference. */
export class Reference {
  readonly #plan: Plan;
  readonly #mirror: Mirror;
  readonly #tables = new Map<string, Known>();
  #rules: Rules | undefined;
  #rulesPlan: RulesSpec | undefined;
  #shown = new Map<string, ShownTables>();
  #seq = 0;
  /** The version of the schema. */
  version = 0;

  /** @param mirror is begun anew */
  constructor(plan: Plan, mirror: Mirror) {
    this.#plan = plan;
    this.#mirror = mirror;
    for (const table of plan.tables) {
      const kinds = table.columns.map(({ type, merge = "lww" }) => kindOf({ type, merge }));
      this.#tables.set(table.name, {
        plan: table,
        table: undefined,
        kinds,
        rows: new Map(),
        waiting: new Map(),
      });
    }
  }

  /** Counts whatever may change what somebody sees. */
  get seq(): number {
    return this.#seq;
  }

  /** Takes a version of the schema. */
  putSchema(version: number): void {
    this.version = version;
    const schema: Schema = parseSchema(schemaIn(this.#plan, version));
    this.#mirror.begin(schema);
    for (const plan of tablesIn(this.#plan, version)) {
      const known = this.#known(plan.name);
      known.table = schema.tables.get(nameIn(plan, version));
      for (const [rowId, state] of known.rows) this.#store(known, rowId, state);
    }
    this.#use(this.#rulesPlan ?? OPEN_RULES, schema);
    this.#changed();
  }

  /**
   * Takes rules.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`
   */
  putRules(rules: RulesSpec): void {
    this.#use(rules, parseSchema(schemaIn(this.#plan, this.version)));
    this.#rulesPlan = rules;
    this.#changed();
  }

  #use(rules: RulesSpec, schema: Schema): void {
    this.#rules = parseRules(rulesIn(this.#plan, rules, this.version), schema);
    this.#mirror.useRules(this.#rules);
  }

  #known(name: string): Known {
    const known = this.#tables.get(name);
    if (known === undefined) throw new Error(`no table ${name}`);
    return known;
  }

  #changed(): void {
    this.#seq++;
    this.#shown = new Map();
  }

  #reader({ plan, table }: Known, rowId: string, state: RowState): Reader {
    const cells = new Map<string, Value>();
    if (table !== undefined) {
      const key = keyOf(table, rowId);
      if (typeof key === "string") throw new Error(key);
      for (const [i, { name }] of table.primaryKey.entries()) cells.set(name, key[i] ?? null);
    }
    forEachCell(state, (id, value) => {
      const column = plan.columns[id];
      if (column !== undefined) cells.set(nameIn(column, this.version), value);
    });
    return (name) => cells.get(name) ?? null;
  }

  #key({ table }: Known, rowId: string): readonly Value[] {
    const key = table === undefined ? [] : keyOf(table, rowId);
    if (typeof key === "string") throw new Error(key);
    return key;
  }

  #store(known: Known, rowId: string, state: RowState): void {
    known.rows.set(rowId, state);
    if (known.table === undefined) return;
    const reader = isVisible(state) ? this.#reader(known, rowId, state) : undefined;
    this.#mirror.put(known.table, this.#key(known, rowId), reader);
  }

  /**
   * Judges a transaction, and takes it in when it is allowed.
   *
   * @param who the client
   * @param deltas the deltas with the columns that the client's version has
   * @returns why it is refused; undefined when it is allowed
   */
  write(who: Who, deltas: readonly DeltaPlan[]): Refusal | undefined {
    const before: [Known, string, RowState, Waiting | undefined][] = [];
    for (const [i, delta] of deltas.entries()) {
      const known = this.#known(delta.table);
      const state = known.rows.get(delta.rowId) ?? EMPTY_ROW;
      const waiting = known.waiting.get(delta.rowId);
      const code = this.#writeOne(who, known, delta, state);
      if (code !== undefined) {
        for (const [table, rowId, old, waited] of before.reverse()) {
          this.#store(table, rowId, old);
          setWaiting(table, rowId, waited);
        }
        return { delta: i, code };
      }
      before.push([known, delta.rowId, state, waiting]);
    }
    this.#changed();
    return undefined;
  }

  #writeOne(
    who: Who,
    known: Known,
    delta: DeltaPlan,
    before: RowState,
  ): Refusal["code"] | undefined {
    const { op, rowId } = delta;
    const change = this.#change(who, known, delta);
    const mode = this.#rules?.modes.get(nameIn(known.plan, this.version)) ?? "two-way";
    if (mode === "upload-only") {
      if (op !== "INSERT") return "VALIDATION_ERROR";
      const after = merge(EMPTY_ROW, change);
      return this.#allows(who, known, op, rowId, after) ? undefined : "FORBIDDEN_WRITE";
    }
    const after = this.#merged(known, rowId, before, change);
    if (!this.#isExempt(who)) {
      if (mode === "download-only" || !this.#hasWriteRule(known, op)) return "FORBIDDEN_WRITE";
      if (isVisible(before) && !this.#allows(who, known, op, rowId, before)) {
        return "FORBIDDEN_WRITE";
      }
      const own = () => merge(EMPTY_ROW, { ...change, op: "INSERT" });
      const judged = isVisible(after) ? () => after : own;
      if (op !== "DELETE" && !this.#allows(who, known, op, rowId, judged())) {
        return "FORBIDDEN_WRITE";
      }
      const unseen = op === "DELETE" && !isVisible(before) && before.died === undefined;
      if (unseen && !this.#allows(who, known, op, rowId, own())) return "FORBIDDEN_WRITE";
    }
    if (after === before) return undefined;
    if (!this.#wait(who, known, delta, after)) return "NO_SUCH_ROW";
    this.#store(known, rowId, after);
    return undefined;
  }

  /** Cells that waited for an INSERT count only if their writer might have written them to its row. */
  #merged(known: Known, rowId: string, before: RowState, change: Change): RowState {
    const after = merge(before, change);
    const waiting = known.waiting.get(rowId);
    if (waiting === undefined || change.op !== "INSERT" || !isVisible(after)) return after;
    const alone = merge({ ...EMPTY_ROW, died: before.died }, change);
    if (this.#rulesPlan === undefined) return after;
    const writer = { ...waiting, sub: "", admin: false };
    const mode = this.#rules?.modes.get(nameIn(known.plan, this.version)) ?? "two-way";
    const may = mode !== "download-only" && this.#hasWriteRule(known, "UPDATE") &&
      (!isVisible(alone) || this.#allows(writer, known, "UPDATE", rowId, alone)) &&
      this.#allows(writer, known, "UPDATE", rowId, after);
    return may ? after : alone;
  }

  /** Notes whose cells wait; gives false where another's do already. */
  #wait(who: Who, known: Known, { op, rowId }: DeltaPlan, after: RowState): boolean {
    const waiting = known.waiting.get(rowId);
    const holdsCells = after.cells.length + (after.merged?.length ?? 0) > 0;
    if (isVisible(after) || !holdsCells) setWaiting(known, rowId, undefined);
    else if (op === "UPDATE" && !this.#isExempt(who)) {
      if (waiting !== undefined && waiting.clientId !== who.clientId) return false;
      setWaiting(known, rowId, { clientId: who.clientId, claims: who.claims });
    }
    return true;
  }

  #change(who: Who, { plan, kinds }: Known, delta: DeltaPlan): Change {
    const names = Object.keys(delta.columns);
    const columns = names.map((name) => plan.columns.findIndex((column) => column.name === name));
    const [ms, counter] = delta.stamp;
    return {
      op: delta.op,
      hlc: makeHlc(WORLD_START_MS + ms, counter),
      clientId: who.clientId,
      seq: this.#seq + 1,
      columns,
      values: names.map((name) => delta.columns[name] ?? null),
      kinds: columns.map((column) => kinds[column] ?? "lww"),
    };
  }

  #isExempt({ admin }: Who): boolean {
    return this.#rulesPlan === undefined || (admin && this.#rules?.exempt.has("admin") === true);
  }

  #hasWriteRule(known: Known, op: Op): boolean {
    const name = nameIn(known.plan, this.version);
    return this.#rules?.writes.some(({ table, ops }) => table === name && ops.includes(op)) ??
      true;
  }

  #allows(who: Who, known: Known, op: Op, rowId: string, state: RowState): boolean {
    if (this.#isExempt(who)) return true;
    if (known.table === undefined) throw new Error(`no table ${known.plan.name}`);
    const reader = this.#reader(known, rowId, state);
    return this.#mirror.mayWrite(known.table, op, who.claims, this.#key(known, rowId), reader);
  }

  /** What a caller sees, by all columns of the newest version. */
  scope({ claims }: Who): ShownTables {
    const key = JSON.stringify(claims);
    let shown = this.#shown.get(key);
    if (shown === undefined) {
      shown = this.#evaluate(claims);
      this.#shown.set(key, shown);
    }
    return shown;
  }

  /** All rows, whoever may see them. */
  everything(): ShownTables {
    const tables = new Map<string, Map<string, Map<string, Value>>>();
    for (const [name, { plan, rows }] of this.#tables) {
      const shown = new Map<string, Map<string, Value>>();
      tables.set(name, shown);
      for (const [rowId, state] of rows) {
        if (!isVisible(state)) continue;
        const cells = new Map<string, Value>();
        shown.set(rowId, cells);
        forEachCell(state, (id, value) => {
          const column = plan.columns[id];
          if (column === undefined || value === null || column.since > this.version) return;
          cells.set(column.name, value);
        });
      }
    }
    return tables;
  }

  #evaluate(claims: Claims): ShownTables {
    const tables = new Map<string, Map<string, Map<string, Value>>>();
    const names = new Map(
      tablesIn(this.#plan, this.version).map((plan) => [nameIn(plan, this.version), plan.name]),
    );
    for (const { bucket, table, rowIds } of this.#mirror.scope(claims)) {
      const known = this.#known(names.get(table) ?? table);
      const columns = this.#rules?.buckets.find(({ name }) => name === bucket)?.tables
        .find((item) => item.table.name === table)?.columns;
      const rows = tables.get(known.plan.name) ?? new Map<string, Map<string, Value>>();
      tables.set(known.plan.name, rows);
      for (const rowId of rowIds) {
        const row = rows.get(rowId) ?? new Map<string, Value>();
        rows.set(rowId, row);
        forEachCell(known.rows.get(rowId) ?? EMPTY_ROW, (id, value) => {
          const column = known.plan.columns[id];
          if (column === undefined || value === null || column.since > this.version) return;
          const isShown = columns === undefined || columns.has(nameIn(column, this.version));
          if (isShown) row.set(column.name, value);
        });
      }
    }
    return tables;
  }

  /** The rows that a client of a version holds when it has everything it sees and nothing else. */
  expected(who: Who, version: number): ShownTables {
    const tables = new Map<string, Map<string, Map<string, Value>>>();
    const scope = this.scope(who);
    for (const plan of tablesIn(this.#plan, version)) {
      const known = new Set(columnsIn(plan, version).map(({ name }) => name));
      const rows = new Map<string, Map<string, Value>>();
      for (const [rowId, row] of scope.get(plan.name) ?? []) {
        rows.set(rowId, new Map([...row].filter(([name]) => known.has(name))));
      }
      tables.set(plan.name, rows);
    }
    return tables;
  }
}
