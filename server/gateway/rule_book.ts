/**
 * A gateway's rules with the numbers under which their buckets are stored. A family of buckets keeps
 * its number while rules around it change; see docs/adr/0008-rules-and-buckets.md.
 *
 * @module
 */

import {
  type CompiledRules,
  compileRules,
  type Family,
  type FamilyTable,
  LakeSyncError,
  type Naming,
  OPEN_RULES,
  parseRules,
  type RulesSpec,
  type Schema,
} from "@lakesync/core";
import type { Catalog } from "./catalog.ts";
import type { Edit } from "./edits.ts";
import { closeTables, EVERY_TABLE, sameReach, type TableReach } from "./table_reach.ts";
import { renameRules } from "./rules_rename.ts";

/** How many rule sets are kept for clients that have not seen a later one. */
const MAX_GENERATIONS = 16;

/** A family of buckets and its number. */
export interface PlacedFamily {
  /** Its number, from 1. */
  readonly number: number;
  /** What its buckets are called; it keeps its name while rules around it change. */
  readonly name: string;
  /** What it holds. */
  readonly family: Family;
  /** The rule set it is compiled from. */
  readonly generation: number;
  /** The commit from which on it is read; undefined while it is built. */
  readonly liveSeq: number | undefined;
  /** The commit from which on it is no longer read. */
  readonly retiredSeq: number | undefined;
}

interface Generation {
  readonly id: number;
  readonly spec: RulesSpec;
  readonly reach: TableReach;
  readonly compiled: CompiledRules;
}

type StoredFamily = readonly [
  number: number,
  signature: string,
  generation: number,
  liveSeq: number | null,
  retiredSeq: number | null,
  name: string,
];

interface StoredBook {
  readonly open: boolean;
  /** Whether what is being built is still no rules; left out for no. */
  readonly buildingOpen?: boolean;
  readonly nextFamily: number;
  readonly active: number;
  readonly building: number | null;
  readonly walked: string;
  /** The tables are left out where all are reached. */
  readonly generations: readonly (readonly [id: number, spec: RulesSpec, reach?: TableReach])[];
  readonly families: readonly StoredFamily[];
}

interface Content {
  /** Whether no rules were put yet. */
  readonly open: boolean;
  /** Whether what is being built is still no rules. */
  readonly buildingOpen: boolean;
  readonly nextFamily: number;
  readonly active: Generation;
  readonly building: Generation | undefined;
  /** How far the rows that were there before have been placed in building families. */
  readonly walked: string;
  readonly generations: readonly Generation[];
  readonly families: readonly PlacedFamily[];
}

function namingOf(catalog: Catalog): Naming {
  return {
    table: (name) => `t${catalog.table(name)?.id ?? 0}`,
    column: (table, name) => `c${catalog.table(table)?.byName.get(name)?.id ?? 0}`,
  };
}

function compile(
  spec: RulesSpec,
  reach: TableReach,
  schema: Schema,
  catalog: Catalog,
): CompiledRules {
  const tableId = (name: string) => catalog.table(name)?.id ?? 0;
  const rules = closeTables(parseRules(spec, schema), reach, schema, tableId);
  return compileRules(rules, namingOf(catalog));
}

/** All families of a rule set; of several with equal rows, the first. */
function familiesOf({ families, lookups }: CompiledRules): readonly Family[] {
  const bySignature = new Map<string, Family>();
  for (const family of [...families, ...lookups]) {
    if (!bySignature.has(family.signature)) bySignature.set(family.signature, family);
  }
  return [...bySignature.values()];
}

/** The rules of a gateway. Never changes; what would change it gives another one. */
export class RuleBook {
  readonly #content: Content;
  readonly #byNumber = new Map<number, PlacedFamily>();
  readonly #numbers = new Map<Family, number>();
  readonly #placing = new Map<string, PlacedFamily[]>();
  readonly #spreading = new Map<string, readonly FamilyTable[]>();

  private constructor(content: Content) {
    this.#content = content;
    const bySignature = new Map<string, number>();
    for (const placed of content.families) {
      this.#byNumber.set(placed.number, placed);
      if (placed.retiredSeq !== undefined) continue;
      bySignature.set(placed.family.signature, placed.number);
      for (const table of placed.family.tables.keys()) {
        const list = this.#placing.get(table);
        if (list === undefined) this.#placing.set(table, [placed]);
        else list.push(placed);
      }
    }
    const { families, lookups } = content.active.compiled;
    for (const family of [...families, ...lookups]) {
      const number = bySignature.get(family.signature);
      if (number !== undefined) this.#numbers.set(family, number);
    }
  }

  /** The book of a gateway that was given no rules. */
  static open(catalog: Catalog): RuleBook {
    const reach = EVERY_TABLE;
    const compiled = compile(OPEN_RULES, reach, catalog.schema, catalog);
    const active: Generation = { id: 0, spec: OPEN_RULES, reach, compiled };
    const families = familiesOf(compiled).map((family, i): PlacedFamily => ({
      number: i + 1,
      name: family.name,
      family,
      generation: 0,
      liveSeq: 0,
      retiredSeq: undefined,
    }));
    return new RuleBook({
      open: true,
      buildingOpen: false,
      nextFamily: families.length + 1,
      active,
      building: undefined,
      walked: "",
      generations: [active],
      families,
    });
  }

  /** Reads a book from what {@linkcode RuleBook.store} wrote. */
  static load(text: string, catalog: Catalog): RuleBook {
    const stored: StoredBook = JSON.parse(text);
    const generations = stored.generations.map(([id, spec, reach = EVERY_TABLE]): Generation => ({
      id,
      spec,
      reach,
      compiled: compile(spec, reach, catalog.schema, catalog),
    }));
    const byId = new Map(generations.map((generation) => [generation.id, generation]));
    const families = stored.families.flatMap(
      ([number, signature, generation, liveSeq, retiredSeq, name]): PlacedFamily[] => {
        const compiled = byId.get(generation)?.compiled;
        const family = compiled &&
          familiesOf(compiled).find((candidate) => candidate.signature === signature);
        return family === undefined ? [] : [{
          number,
          name,
          family,
          generation,
          liveSeq: liveSeq ?? undefined,
          retiredSeq: retiredSeq ?? undefined,
        }];
      },
    );
    const active = byId.get(stored.active);
    if (active === undefined) throw new Error("The active rules are not stored");
    return new RuleBook({
      open: stored.open,
      buildingOpen: stored.buildingOpen ?? false,
      nextFamily: stored.nextFamily,
      active,
      building: stored.building === null ? undefined : byId.get(stored.building),
      walked: stored.walked,
      generations,
      families,
    });
  }

  /**
   * The book under another schema: its rules follow renames, what is called by a new name stays what
   * it is.
   *
   * @returns the book, and the seq before which clients must start anew, because what they hold goes
   * by rules over something that is gone
   * @throws {LakeSyncError} `SCHEMA_ERROR` when rules that hold use what is dropped
   */
  under(before: Catalog, after: Catalog): { readonly book: RuleBook; readonly horizonSeq: number } {
    const { generations, active, building, families } = this.#content;
    const renamed = new Map<number, Generation>();
    for (const { id, spec, reach } of generations) {
      try {
        const next = renameRules(spec, before, after);
        const compiled = compile(next, reach, after.schema, after);
        renamed.set(id, { id, spec: next, reach, compiled });
      } catch (error) {
        if (id === active.id || id === building?.id) throw error;
      }
    }
    const now = renamed.get(active.id);
    if (now === undefined) throw new Error("The active rules are not stored");
    const moved = families.map((placed) => {
      const generation = renamed.get(placed.generation);
      const spec = generations.find(({ id }) => id === placed.generation)?.spec;
      if (generation === undefined || spec === undefined) return { placed, family: undefined };
      const family = familiesOf(generation.compiled).find(({ signature }) =>
        signature === placed.family.signature
      );
      return { placed, family: family ?? widened(placed, spec, generation, before, after) };
    });
    const lost = moved.filter(({ family }) => family === undefined);
    // Those that are being built count too: rules must find all their families when they are put in force.
    const read = lost.find(({ placed }) => placed.retiredSeq === undefined);
    if (read !== undefined) {
      throw new LakeSyncError(
        "SCHEMA_ERROR",
        `The new schema changes what the sync rules' bucket ${read.placed.family.name} holds; ` +
          "put rules without it first",
      );
    }
    return {
      book: new RuleBook({
        ...this.#content,
        active: now,
        building: building === undefined ? undefined : renamed.get(building.id),
        generations: [...renamed.values()],
        families: moved.flatMap(({ placed, family }) => family ? [{ ...placed, family }] : []),
      }),
      horizonSeq: Math.max(0, ...lost.map(({ placed }) => placed.retiredSeq ?? 0)),
    };
  }

  /** Writes the book as a text. */
  store(): string {
    const { open, nextFamily, active, building, walked, generations, families } = this.#content;
    const { buildingOpen } = this.#content;
    const stored: StoredBook = {
      open,
      ...(buildingOpen ? { buildingOpen } : {}),
      nextFamily,
      active: active.id,
      building: building?.id ?? null,
      walked,
      generations: generations.map(({ id, spec, reach }) =>
        reach.allow === undefined && reach.deny.length === 0 ? [id, spec] : [id, spec, reach]
      ),
      families: families.map(({ number, name, family, generation, liveSeq, retiredSeq }) => [
        number,
        family.signature,
        generation,
        liveSeq ?? null,
        retiredSeq ?? null,
        name,
      ]),
    };
    return JSON.stringify(stored);
  }

  /** Whether no rules were put yet. */
  get isOpen(): boolean {
    return this.#content.open;
  }

  /** The rules that hold. */
  get active(): CompiledRules {
    return this.#content.active.compiled;
  }

  /** The rules that hold, as they were written. */
  get spec(): RulesSpec {
    return this.#content.active.spec;
  }

  /** The rules that are being built, as they were written. */
  get buildingSpec(): RulesSpec | undefined {
    return this.#content.building?.spec;
  }

  /** Whether what is being built is no rules either, but for tables that are closed or opened. */
  get isBuildingOpen(): boolean {
    return this.#content.buildingOpen;
  }

  /** What holds, as it is put again by who replays the log. */
  get put(): Pick<Edit, "reach" | "open"> & { readonly spec: RulesSpec } {
    const { open, active: { spec, reach } } = this.#content;
    return {
      spec,
      ...(sameReach(reach, EVERY_TABLE) ? {} : { reach }),
      ...(open ? { open } : {}),
    };
  }

  /** Which tables clients reach, once everything is built. */
  get reach(): TableReach {
    return (this.#content.building ?? this.#content.active).reach;
  }

  /** How far the walk over the rows has come. */
  get walked(): string {
    return this.#content.walked;
  }

  /** The families that rows of a table are placed in: those that are read and those being built. */
  placing(table: string): readonly PlacedFamily[] {
    return this.#placing.get(table) ?? [];
  }

  /** What families do with a table of whose rows one may be in several of their buckets. */
  spreading(table: string): readonly FamilyTable[] {
    let rules = this.#spreading.get(table);
    if (rules === undefined) {
      rules = this.placing(table).flatMap(({ family }) => {
        const rule = family.tables.get(table);
        return rule?.spreads ? [rule] : [];
      });
      this.#spreading.set(table, rules);
    }
    return rules;
  }

  /** A family by its number; undefined when it is forgotten. */
  family(number: number): PlacedFamily | undefined {
    return this.#byNumber.get(number);
  }

  /** The number of a family of the rules that hold. */
  numberOf(family: Family): number {
    const number = this.#numbers.get(family);
    if (number === undefined) throw new Error("A family of the rules that hold has no number");
    return number;
  }

  /**
   * The book with other rules beside those that hold.
   *
   * @param spec the rules
   * @param catalog the schema
   * @returns the book, and whether there are rows to be placed before it can be switched
   * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
   */
  with(spec: unknown, catalog: Catalog): { readonly book: RuleBook; readonly builds: boolean } {
    return this.beside(spec, this.reach, false, catalog);
  }

  /**
   * The book by which clients reach other tables, beside the one that holds; the rules stay.
   *
   * @param reach which tables
   * @param catalog the schema
   * @returns the book, and whether there are rows to be placed before it can be switched
   */
  reaching(
    reach: TableReach,
    catalog: Catalog,
  ): { readonly book: RuleBook; readonly builds: boolean } {
    const { open, building, buildingOpen } = this.#content;
    const isOpen = building === undefined ? open : buildingOpen;
    return this.beside(this.buildingSpec ?? this.spec, reach, isOpen, catalog);
  }

  /**
   * The book with other rules and other tables beside those that hold.
   *
   * @param spec the rules as the client sent them
   * @param reach which tables clients reach
   * @param buildingOpen whether these are no rules either
   * @param catalog the schema
   * @returns the book, and whether there are rows to be placed before it can be switched
   * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
   */
  beside(
    spec: unknown,
    reach: TableReach,
    buildingOpen: boolean,
    catalog: Catalog,
  ): { readonly book: RuleBook; readonly builds: boolean } {
    const { families, generations, nextFamily } = this.#content;
    const id = 1 + Math.max(...generations.map((generation) => generation.id));
    const parsed = parseRules(spec, catalog.schema);
    const compiled = compile(parsed.spec, reach, catalog.schema, catalog);
    const building: Generation = { id, spec: parsed.spec, reach, compiled };
    const kept = families.filter(({ liveSeq }) => liveSeq !== undefined);
    const all = familiesOf(compiled);
    const wanted = new Set(all.map(({ signature }) => signature));
    const staying = kept.filter(({ family, retiredSeq }) =>
      retiredSeq === undefined && wanted.has(family.signature)
    );
    const known = new Set(staying.map(({ family }) => family.signature));
    const names = new Set(staying.map(({ name }) => name));
    const added = all
      .filter(({ signature }) => !known.has(signature))
      .map((family, i): PlacedFamily => ({
        number: nextFamily + i,
        name: freeName(family.name, names),
        family,
        generation: id,
        liveSeq: undefined,
        retiredSeq: undefined,
      }));
    const book = new RuleBook({
      ...this.#content,
      nextFamily: nextFamily + added.length,
      building,
      buildingOpen,
      walked: "",
      generations: [
        ...generations.filter((generation) => generation.id !== this.#content.building?.id),
        building,
      ],
      families: [...kept, ...added],
    });
    return { book, builds: added.length > 0 };
  }

  /** The book when the walk over the rows has come to a position. */
  walkedTo(position: string): RuleBook {
    return new RuleBook({ ...this.#content, walked: position });
  }

  /**
   * The book once the rules that were built hold.
   *
   * @param seq the commit of the switch
   * @returns the book, and the greatest seq at which a family was retired that it has forgotten: a
   * client from before it must start anew
   */
  switched(seq: number): { readonly book: RuleBook; readonly horizonSeq: number } {
    const { building, buildingOpen, families, generations } = this.#content;
    if (building === undefined) throw new Error("There are no rules to switch to");
    const wanted = new Set(familiesOf(building.compiled).map(({ signature }) => signature));
    const now = families.map((placed): PlacedFamily => {
      if (placed.retiredSeq !== undefined) return placed;
      if (!wanted.has(placed.family.signature)) return { ...placed, retiredSeq: seq };
      return { ...placed, liveSeq: placed.liveSeq ?? seq };
    });
    const adopted = now.map((placed) => adopt(placed, building));
    const recent = new Set(generations.slice(-MAX_GENERATIONS).map(({ id }) => id));
    recent.add(building.id);
    const kept = adopted.filter(({ generation }) => recent.has(generation));
    const forgotten = adopted.filter(({ generation }) => !recent.has(generation));
    const used = new Set(kept.map(({ generation }) => generation));
    const book = new RuleBook({
      ...this.#content,
      open: buildingOpen,
      buildingOpen: false,
      active: building,
      building: undefined,
      walked: "",
      generations: generations.filter(({ id }) => used.has(id) || id === building.id),
      families: kept,
    });
    return {
      book,
      horizonSeq: Math.max(0, ...forgotten.map(({ retiredSeq }) => retiredSeq ?? 0)),
    };
  }
}

/**
 * A family that `*` brought tables that are new with the schema. They are empty, so it holds the rows
 * it held and keeps its number.
 */
function widened(
  { family }: PlacedFamily,
  spec: RulesSpec,
  { compiled, reach }: Generation,
  before: Catalog,
  after: Catalog,
): Family | undefined {
  const same = compile(renameRules(spec, before, after, true), reach, after.schema, after);
  const old = familiesOf(same).find(({ signature }) => signature === family.signature);
  return old &&
    familiesOf(compiled).find(({ kind, name }) => kind === old.kind && name === old.name);
}

/** A name for a new family that no family has that stays. */
function freeName(name: string, taken: Set<string>): string {
  const root = name.replace(/#\d+$/, "");
  let free = name;
  for (let i = 2; taken.has(free); i++) free = `${root}#${i}`;
  taken.add(free);
  return free;
}

/** A family that is still read belongs to the newest rule set that has it. */
function adopt(placed: PlacedFamily, { id, compiled }: Generation): PlacedFamily {
  if (placed.retiredSeq !== undefined) return placed;
  const family = familiesOf(compiled).find(({ signature }) =>
    signature === placed.family.signature
  );
  return family === undefined ? placed : { ...placed, family, generation: id };
}

/** A bucket's id as it is stored: its family's number and its key. */
export function bucketId(family: number, key: string): string {
  return `${family}:${key}`;
}

/** The family's number in a bucket's stored id. */
export function familyOfBucket(id: string): number {
  return Number(id.slice(0, id.indexOf(":")));
}

/** A bucket's id as clients see it: its family's name and its key. */
export function publicBucketId(id: string, placed: PlacedFamily): string {
  const key = id.slice(id.indexOf(":") + 1);
  return key === "[]" ? placed.name : `${placed.name}${key}`;
}
