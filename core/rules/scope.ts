/**
 * What the rules give one caller: the buckets to read and the writes that are allowed. Values of
 * parameters are looked up anew at each call, since commits change them.
 *
 * @module
 */

import type { Op } from "../delta.ts";
import { LakeSyncError } from "../errors.ts";
import { type JsonValue, toPlainJson, type Value } from "../value.ts";
import { keyText } from "./compare.ts";
import type { CompiledRules, Family, OperandSource, Way } from "./compile.ts";
import { judge, type Judged, type RowReader } from "./judge.ts";
import { type Claims, readClaim } from "./model.ts";
import { RULE_LIMITS } from "./spec.ts";

/** The values that the rows of one look-up bucket yield. */
export interface ParamValues {
  /**
   * Whether a value is among them.
   *
   * @param text the value's key text: its canonical JSON, of timestamps and decimals without
   * trailing zeros
   */
  has(text: string): boolean;
  /** All values; null and doubles do no harm. */
  values(): Iterable<Value>;
}

/** Reads one look-up bucket; undefined when it is not loaded. */
export type LookupReader = (family: Family, key: string) => ParamValues | undefined;

/** One bucket of a look-up family. */
export interface LookupKey {
  /** The family. */
  readonly family: Family;
  /** The key, a canonical JSON array. */
  readonly key: string;
}

/** A bucket that a caller may read. */
export interface Grant {
  /** The family. */
  readonly family: Family;
  /** The key, a canonical JSON array. */
  readonly key: string;
  /** The values of the family's residual operands; for `nin` an array. */
  readonly residual: readonly JsonValue[];
}

/**
 * Holds the values of a look-up in memory.
 *
 * @param family the look-up
 * @param values what its rows yield; null is left out
 * @returns the values, found by key text
 */
export function paramValues(family: Family, values: Iterable<Value>): ParamValues {
  const byText = new Map<string, Value>();
  for (const value of values) {
    if (value !== null) byText.set(keyText(value, family.yieldsType ?? "string"), value);
  }
  return { has: (text) => byText.has(text), values: () => byText.values() };
}

/** What the rules give one caller. */
export class Scope implements Judged {
  /** No row while claims alone are judged. */
  readonly row: undefined = undefined;
  /** The caller's claims. */
  readonly claims: Claims;
  readonly #compiled: CompiledRules;
  readonly #lookup: LookupReader;
  readonly #missing = new Map<string, LookupKey>();
  readonly #values = new Map<string, KnownValues>();
  readonly #keys = new Map<Way, WayKeys>();
  readonly #keeps: boolean;

  /**
   * Makes a scope.
   *
   * @param compiled the rules
   * @param claims the claims of the caller's token
   * @param lookup reads look-ups that are loaded
   * @param keeps whether values that are known are kept between calls: for who makes another scope
   * when a look-up changes
   */
  constructor(compiled: CompiledRules, claims: Claims, lookup: LookupReader, keeps = false) {
    this.#compiled = compiled;
    this.claims = claims;
    this.#lookup = lookup;
    this.#keeps = keeps;
  }

  /**
   * The look-ups that the last call asked for and that were not loaded. While there are any its
   * answer is not valid: load them and ask again. A chain of parameters takes two rounds.
   */
  get missing(): readonly LookupKey[] {
    return [...this.#missing.values()];
  }

  /**
   * The buckets that the caller may read, each once, in the order of the families and then of the
   * keys.
   *
   * @returns the grants; not all of them while look-ups are {@linkcode missing}
   * @throws {LakeSyncError} `FORBIDDEN` when there are more than 10,000
   */
  grants(): readonly Grant[] {
    this.#begin();
    const byFamily = new Map<Family, Map<string, Grant>>();
    let count = 0;
    for (const way of this.#compiled.ways) {
      const residual = this.#residualOf(way);
      const { keys } = this.#keysOf(way);
      if (residual === undefined) continue;
      const grants = byFamily.get(way.family) ?? new Map<string, Grant>();
      byFamily.set(way.family, grants);
      for (const key of keys) {
        if (grants.has(key)) continue;
        grants.set(key, { family: way.family, key, residual });
        if (++count > RULE_LIMITS.maxGrants) tooMany();
      }
    }
    return this.#compiled.families.flatMap((family) =>
      [...byFamily.get(family)?.values() ?? []].sort((a, b) => a.key < b.key ? -1 : 1)
    );
  }

  /**
   * Whether one write rule for a table and an operation holds of a row. Table modes and exempt
   * roles are not looked at.
   *
   * @param table the table's name
   * @param op the operation
   * @param row the row before or after it
   * @returns whether it may be written; false while look-ups that decide are
   * {@linkcode missing}
   */
  allows(table: string, op: Op, row: RowReader): boolean {
    this.#begin();
    const judged: Judged = {
      row,
      claims: this.claims,
      hasParam: (name, text) => this.hasParam(name, text),
    };
    for (const rule of this.#compiled.writes.get(table) ?? []) {
      if (rule.ops.includes(op) && judge(rule.filter, judged) === true) {
        this.#missing.clear();
        return true;
      }
    }
    return false;
  }

  /**
   * Whether there is a write rule for a table and an operation.
   *
   * @param table the table's name
   * @param op the operation
   * @returns whether one names both
   */
  hasWriteRule(table: string, op: Op): boolean {
    return this.#compiled.writes.get(table)?.some((rule) => rule.ops.includes(op)) ?? false;
  }

  /**
   * Whether a parameter has a value for this caller.
   *
   * @param name the parameter
   * @param text the value's key text
   * @returns undefined when a look-up that decides is not loaded
   */
  hasParam(name: string, text: string): boolean | undefined {
    let known = true;
    for (const way of this.#compiled.parameters.get(name) ?? []) {
      const found = this.#keysOf(way);
      known &&= found.known;
      for (const key of found.keys) {
        const values = this.#read(way.family, key);
        if (values?.has(text)) return true;
        known &&= values !== undefined;
      }
    }
    return known ? false : undefined;
  }

  /**
   * The values of a parameter for this caller.
   *
   * @param name the parameter
   * @returns what is known of them
   */
  valuesOfParam(name: string): KnownValues {
    const before = this.#values.get(name);
    if (before !== undefined) return before;
    const type = this.#compiled.rules.parameters.get(name)?.column.type ?? "string";
    const byText = new Map<string, Value>();
    let known = true;
    for (const way of this.#compiled.parameters.get(name) ?? []) {
      const found = this.#keysOf(way);
      known &&= found.known;
      for (const key of found.keys) {
        const values = this.#read(way.family, key);
        known &&= values !== undefined;
        for (const value of values?.values() ?? []) {
          if (value !== null) byText.set(keyText(value, type), value);
        }
      }
    }
    const values = { byText, known };
    if (known || !this.#keeps) this.#values.set(name, values);
    return values;
  }

  #begin(): void {
    this.#missing.clear();
    if (this.#keeps) return;
    this.#values.clear();
    this.#keys.clear();
  }

  #read(family: Family, key: string): ParamValues | undefined {
    const values = this.#lookup(family, key);
    if (values === undefined) {
      this.#missing.set(`${family.name}:${key}`, { family, key });
    }
    return values;
  }

  /** The keys that one way grants; what is not known grants nothing. */
  #keysOf(way: Way): WayKeys {
    const before = this.#keys.get(way);
    if (before !== undefined) return before;
    const found = this.#findKeys(way);
    if (found.known) this.#keys.set(way, found);
    return found;
  }

  #findKeys(way: Way): WayKeys {
    let known = true;
    for (const condition of way.claims) {
      const holds = judge(condition, this);
      if (holds === false) return { keys: [], known: true };
      if (holds === undefined) known = false;
    }
    let keys: readonly string[] = known ? [""] : [];
    for (const source of way.keyed) {
      const values = this.#operand(source);
      known &&= values.known;
      if (keys.length * values.byText.size > RULE_LIMITS.maxGrants) tooMany();
      const texts = [...values.byText.keys()];
      keys = keys.flatMap((key) => texts.map((text) => key === "" ? text : `${key},${text}`));
    }
    return { keys: keys.map((key) => `[${key}]`), known };
  }

  #operand({ kind, name, list, type }: OperandSource): KnownValues {
    if (kind === "param") return this.valuesOfParam(name);
    const claim = readClaim(this.claims, name, type);
    const values = claim === undefined || (claim.list && !list) ? [] : claim.values;
    return { byText: new Map(values.map((value) => [keyText(value, type), value])), known: true };
  }

  /** The residual operands of a way; undefined when one is missing and nothing can be granted. */
  #residualOf(way: Way): readonly JsonValue[] | undefined {
    const operands: JsonValue[] = [];
    for (const source of way.residual) {
      const { name, list, type, kind } = source;
      if (kind === "claim") {
        const claim = readClaim(this.claims, name, type);
        if (claim === undefined || (claim.list && !list)) return undefined;
      }
      const { byText, known } = this.#operand(source);
      if (!known) return undefined;
      const values = [...byText].sort(([a], [b]) => a < b ? -1 : 1);
      const plain = values.map(([, value]) => toPlainJson(value));
      operands.push(list ? plain : plain[0] ?? null);
    }
    return operands;
  }
}

/** The keys that one way grants, and whether all look-ups that matter were loaded. */
interface WayKeys {
  readonly keys: readonly string[];
  readonly known: boolean;
}

/** Values by key text, as far as they are known. */
export interface KnownValues {
  /** The values. */
  readonly byText: ReadonlyMap<string, Value>;
  /** Whether all look-ups that matter were loaded. */
  readonly known: boolean;
}

function tooMany(): never {
  throw new LakeSyncError(
    "FORBIDDEN",
    `The rules grant this caller more than ${RULE_LIMITS.maxGrants} buckets, ` +
      "use coarser keys or fewer memberships",
  );
}
