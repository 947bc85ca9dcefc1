/**
 * Compiles rules to families: which rows are found under which keys, and who is granted what.
 * The conditions of a conjunct fall into keyed, static, claim and residual ones; tables whose
 * keyed operands are the same share a family.
 *
 * @module
 */

import type { JsonValue, Value } from "../value.ts";
import { conditionId } from "./_disjunctive.ts";
import { type Alternative, familyTable, signatureOf } from "./_family.ts";
import type { RowReader } from "./judge.ts";
import type { BucketTable, Condition, Conjunct, Rules, WriteRule } from "./model.ts";
import type { Table } from "../schema.ts";
import type { ExemptRole, TableMode } from "./spec.ts";

/** Stable names of tables and columns, which renames leave alone; used in signatures only. */
export interface Naming {
  /** The token of a table. */
  table(name: string): string;
  /** The token of a column. */
  column(table: string, name: string): string;
}

/** One table of a family. */
export interface FamilyTable {
  /** The table. */
  readonly table: Table;
  /** The columns shown, the key's included; undefined shows all, also those added later. */
  readonly columns: ReadonlySet<string> | undefined;
  /** The columns that the residual conditions read, in the order of `holds`. */
  readonly residualColumns: readonly string[];
  /**
   * The keys of the family's buckets that a row is in, by its keyed and static conditions.
   *
   * @param row the row
   * @returns canonical JSON arrays without doubles; `[]` is the key where there are no operands. None
   * for a row that would be in more than `RULE_LIMITS.maxKeys` of them by one conjunct
   */
  keysOf(row: RowReader): readonly string[];
  /** Whether a row may be in several of the family's buckets by one conjunct, by `contains`. */
  readonly spreads: boolean;
  /**
   * How many of the family's buckets a row would be in, by the conjunct with the most.
   *
   * @param row the row
   * @returns 0 or more; more than `RULE_LIMITS.maxKeys` is to be refused when it is written
   */
  keyCount(row: RowReader): number;
  /**
   * Judges the residual conditions.
   *
   * @param operands the residual operands of a grant
   * @param values the values of `residualColumns`
   * @returns whether all hold
   */
  holds(operands: readonly JsonValue[], values: readonly Value[]): boolean;
}

/** A kind of bucket, or of look-up: rows under keys. */
export interface Family {
  /** Whether its rows are read by clients or looked up for parameters. */
  readonly kind: "bucket" | "lookup";
  /** Equal for families with equal rows, keys, projection and residual conditions only. */
  readonly signature: string;
  /** Its name, unique in the rule set: `by_list`, `by_list#2`, `param:list`. */
  readonly name: string;
  /** Its tables by name; a look-up has one. */
  readonly tables: ReadonlyMap<string, FamilyTable>;
  /** How many residual operands a grant carries. */
  readonly residualOperands: number;
  /** The column that a look-up yields. */
  readonly yields: string | undefined;
  /** The type of the column that a look-up yields. */
  readonly yieldsType: string | undefined;
}

/** Where the value of an operand comes from. */
export interface OperandSource {
  /** A text that equal operands share. */
  readonly id: string;
  /** Claim or parameter. */
  readonly kind: "claim" | "param";
  /** The name of it. */
  readonly name: string;
  /** Whether it may be several values. */
  readonly list: boolean;
  /** The type its values are read by. */
  readonly type: string;
}

/** One way in which buckets of a family are granted. */
export interface Way {
  /** The family. */
  readonly family: Family;
  /** What must hold of the claims. */
  readonly claims: Conjunct;
  /** The operands of the key, in order. */
  readonly keyed: readonly OperandSource[];
  /** The residual operands, in order. */
  readonly residual: readonly OperandSource[];
}

/** The families and look-ups that hold rows of one table. */
export interface TableFamilies {
  /** Families of buckets. */
  readonly families: readonly Family[];
  /** Families of look-ups. */
  readonly lookups: readonly Family[];
}

/** Rules, ready to be judged by. */
export interface CompiledRules {
  /** What was compiled. */
  readonly rules: Rules;
  /** Families of buckets, in the order of the rules. */
  readonly families: readonly Family[];
  /** Families of look-ups. */
  readonly lookups: readonly Family[];
  /** The families that concern a table; a table without has no entry. */
  readonly byTable: ReadonlyMap<string, TableFamilies>;
  /** How buckets are granted. */
  readonly ways: readonly Way[];
  /** How the values of each parameter are looked up. */
  readonly parameters: ReadonlyMap<string, readonly Way[]>;
  /** The write rules by the table they name; a table without has no entry. */
  readonly writes: ReadonlyMap<string, readonly WriteRule[]>;
  /** Roles that write rules do not judge. */
  readonly exempt: ReadonlySet<ExemptRole>;
  /** In which directions a table is synced. */
  modeOf(table: string): TableMode;
}

const PLAIN: Naming = { table: (name) => name, column: (_table, name) => name };

/** A family under construction. */
interface Draft {
  readonly claims: Conjunct;
  readonly keyed: readonly OperandSource[];
  readonly residual: readonly OperandSource[];
  readonly tables: Map<string, { source: DraftTable; alternatives: Alternative[] }>;
}

type DraftTable = Pick<BucketTable, "table" | "conjuncts" | "columns" | "star">;

/**
 * Compiles rules.
 *
 * @param rules parsed rules
 * @param naming stable tokens for tables and columns; their names unless given
 * @returns families, and how they are granted
 */
export function compileRules(rules: Rules, naming: Naming = PLAIN): CompiledRules {
  const families = new Families(rules, naming);
  const ways = rules.buckets.flatMap(({ name, tables }) =>
    draft(tables).map((item) => families.add(item, name, undefined))
  );
  const parameters = new Map<string, readonly Way[]>();
  for (const { name, table, column, conjuncts } of rules.parameters.values()) {
    const drafts = draft([{ table, conjuncts, columns: undefined, star: false }]);
    parameters.set(name, drafts.map((item) => families.add(item, `param:${name}`, column)));
  }
  return {
    rules,
    families: families.of("bucket"),
    lookups: families.of("lookup"),
    byTable: families.byTable(),
    ways,
    parameters,
    writes: Map.groupBy(rules.writes, (write) => write.table),
    exempt: rules.exempt,
    modeOf: (table) => rules.modes.get(table) ?? "two-way",
  };
}

/** Makes families of drafts, one for each signature. */
class Families {
  readonly #naming: Naming;
  readonly #excluded: readonly string[];
  readonly #bySignature = new Map<string, Family>();
  readonly #names = new Map<string, number>();

  constructor(rules: Rules, naming: Naming) {
    this.#naming = naming;
    const tables = [...rules.modes].filter(([, mode]) => mode === "upload-only");
    const uploadOnly = tables.map(([table]) => naming.table(table)).sort();
    this.#excluded = [...uploadOnly, ...rules.closed?.mark ?? []];
  }

  add(item: Draft, name: string, yields: { name: string; type: string } | undefined): Way {
    const bare = signatureOf(
      yields === undefined ? name : undefined,
      yields?.name,
      item,
      this.#excluded,
      this.#naming,
    );
    let signature = bare;
    // Residual operands belong to one way, so that a key is granted with one list of them.
    for (let n = 2; item.residual.length > 0 && this.#bySignature.has(signature); n++) {
      signature = `${bare}#${n}`;
    }
    let family = this.#bySignature.get(signature);
    if (family === undefined) {
      family = {
        kind: yields === undefined ? "bucket" : "lookup",
        signature,
        name: this.#unique(name),
        tables: new Map(
          [...item.tables].map(([table, { source, alternatives }]) =>
            [table, familyTable(source.table, source.columns, alternatives)] as const
          ),
        ),
        residualOperands: item.residual.length,
        yields: yields?.name,
        yieldsType: yields?.type,
      };
      this.#bySignature.set(signature, family);
    }
    return { family, claims: item.claims, keyed: item.keyed, residual: item.residual };
  }

  of(kind: Family["kind"]): readonly Family[] {
    return [...this.#bySignature.values()].filter((family) => family.kind === kind);
  }

  byTable(): ReadonlyMap<string, TableFamilies> {
    const byTable = new Map<string, { families: Family[]; lookups: Family[] }>();
    for (const family of this.#bySignature.values()) {
      for (const table of family.tables.keys()) {
        const entry = byTable.get(table) ?? { families: [], lookups: [] };
        byTable.set(table, entry);
        (family.kind === "bucket" ? entry.families : entry.lookups).push(family);
      }
    }
    return byTable;
  }

  #unique(name: string): string {
    const n = (this.#names.get(name) ?? 0) + 1;
    this.#names.set(name, n);
    return n === 1 ? name : `${name}#${n}`;
  }
}

function draft(tables: readonly DraftTable[]): readonly Draft[] {
  const drafts = new Map<string, Draft>();
  for (const source of tables) {
    for (const conjunct of source.conjuncts) {
      const claims = conjunct.filter((item) => item.subject.kind === "claim");
      const operands = keyedOf(conjunct);
      const keyed = operands.map((operand) => operand.source);
      const residual = sourcesOf(conjunct.filter(isResidual));
      const ids = [claims.map((item) => conditionId(item)).sort(), idsOf(keyed), idsOf(residual)];
      const entry = draftFor(
        drafts,
        JSON.stringify(ids),
        source.table.name,
        residual.length > 0,
        () => ({
          claims,
          keyed,
          residual,
          tables: new Map(),
        }),
      );
      const table = entry.tables.get(source.table.name) ?? { source, alternatives: [] };
      entry.tables.set(source.table.name, table);
      table.alternatives.push(
        alternativeOf(conjunct, operands.map((operand) => operand.conditions), residual),
      );
    }
  }
  return [...drafts.values()];
}

/**
 * Finds the draft for a conjunct. Two conjuncts of one table may share a draft unless they have
 * residual conditions, which must be one conjunction for each row.
 */
function draftFor(
  drafts: Map<string, Draft>,
  id: string,
  table: string,
  single: boolean,
  make: () => Draft,
): Draft {
  for (let n = 1;; n++) {
    const key = `${id}#${n}`;
    const found = drafts.get(key);
    if (found !== undefined && single && found.tables.has(table)) continue;
    const entry = found ?? make();
    drafts.set(key, entry);
    return entry;
  }
}

/** An operand of the key and the conditions that it stands in. */
interface KeyedOperand {
  readonly source: OperandSource;
  readonly conditions: readonly Condition[];
}

/**
 * The operands of the key. Conditions share an operand that is one value; where it may be many,
 * each of them can hold by another one and has an operand of its own.
 */
function keyedOf(conjunct: Conjunct): readonly KeyedOperand[] {
  const byId = new Map<string, KeyedOperand>();
  for (const condition of conjunct.filter(isKeyed)) {
    const source = sourceOf(condition);
    if (source === undefined) continue;
    let { id } = source;
    for (let n = 2; source.list && byId.has(id); n++) id = `${source.id}#${n}`;
    const conditions = [...byId.get(id)?.conditions ?? [], condition];
    byId.set(id, { source: { ...source, id }, conditions });
  }
  return [...byId.values()].sort((a, b) => a.source.id < b.source.id ? -1 : 1);
}

function alternativeOf(
  conjunct: Conjunct,
  keyed: readonly Conjunct[],
  residual: readonly OperandSource[],
): Alternative {
  const residuals = conjunct.filter(isResidual);
  return {
    keyed,
    fixed: conjunct.filter((item) =>
      item.subject.kind === "column" && item.operand.kind === "literal"
    ),
    residual: residuals.map((condition) => ({
      condition,
      operand: residual.findIndex(({ id }) => id === sourceOf(condition)?.id),
    })),
  };
}

function isKeyed({ subject, operand, op }: Condition): boolean {
  return subject.kind === "column" && operand.kind !== "literal" &&
    (op === "eq" || op === "in" || op === "contains");
}

function isResidual(condition: Condition): boolean {
  return condition.subject.kind === "column" && condition.operand.kind !== "literal" &&
    !isKeyed(condition);
}

function sourcesOf(conditions: Conjunct): readonly OperandSource[] {
  const byId = new Map<string, OperandSource>();
  for (const condition of conditions) {
    const source = sourceOf(condition);
    if (source !== undefined) byId.set(source.id, source);
  }
  return [...byId.values()].sort((a, b) => a.id < b.id ? -1 : 1);
}

function sourceOf({ operand, op, type }: Condition): OperandSource | undefined {
  if (operand.kind === "literal") return undefined;
  const list = op === "in" || op === "nin";
  const id = JSON.stringify([operand.kind, operand.name, list, type]);
  return { id, kind: operand.kind, name: operand.name, list, type };
}

function idsOf(sources: readonly OperandSource[]): readonly string[] {
  return sources.map((source) => source.id);
}
