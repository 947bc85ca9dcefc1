/**
 * Unit tests of sync rules: a real gateway on a store in memory, without a server, that tells what
 * a user sees and may do.
 *
 * @module
 */

import {
  type Delta,
  type InsertOf,
  LakeSyncError,
  type Op,
  parseSchema,
  type Rejection,
  rowIdOf,
  type RulesSpec,
  type Schema,
  type SchemaSpec,
  type Stop,
  type Table,
  type Value,
} from "@lakesync/core";
import { isSubject } from "../auth/token.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import type { Caller, Gateway, Gateways, RowExplanation } from "../gateway/gateway.ts";
import { openGateways } from "../gateway/open.ts";
import { memoryStores } from "../store/memory.ts";

const GATEWAY = "default";
const ADMIN: Caller = { sub: "admin", admin: true, claims: {} };
/** Rows put in one transaction. */
const PIECE = 500;
const PAGE_ROWS = 10_000;
const BUILD_WAIT_MS = 60_000;

/** What rules are tested with. */
export interface RulesFixture<S extends SchemaSpec> {
  /** The schema. */
  readonly schema: S;
  /** The rules. */
  readonly rules: RulesSpec;
  /** Rows that are there, by table; columns left out are null. */
  readonly rows?: { readonly [T in keyof S["tables"]]?: readonly InsertOf<S, T>[] };
}

/** Rules under test. */
export interface TestedRules extends AsyncDisposable {
  /**
   * A user.
   *
   * @param claims the claims of the user's token; `sub` is the user, `role` is `client` and `gw`
   * `default` unless given
   * @throws {LakeSyncError} `VALIDATION_ERROR` when there is no `sub` that a token could have
   */
  as(claims: UserClaims): TestedUser;
  /** Closes the gateway; `await using` does it too. */
  close(): Promise<void>;
}

/** The claims of a user's token. */
export interface UserClaims {
  /** The user. */
  readonly sub: string;
  /** Further claims. */
  readonly [claim: string]: unknown;
}

/** What a user sees and may do. */
export interface TestedUser {
  /** All rows that the user sees: rowIds in ascending order, by table; tables without are left out. */
  sees(): Promise<Record<string, string[]>>;
  /**
   * Whether the user sees a row.
   *
   * @param table the table
   * @param rowId the row: its key, for a key of several columns the JSON array of them
   */
  sees(table: string, rowId: string): Promise<boolean>;
  /**
   * The cells that the user sees of a row, without its key.
   *
   * @param table the table
   * @param rowId the row
   * @returns the values by column, undefined when the user does not see the row
   */
  row(table: string, rowId: string): Promise<Record<string, Value> | undefined>;
  /**
   * Whether the user may write. Nothing is changed by asking.
   *
   * @param op what is done
   * @param table the table
   * @param row the key, and for an INSERT or UPDATE the columns that are written
   * @throws {Error} when the write is refused for another reason than the rules, such as a value of
   * another type, and for an UPDATE or DELETE of a row that is not there
   */
  may(op: Op, table: string, row: Readonly<Record<string, Value>>): Promise<boolean>;
  /**
   * Why the user sees a row or not, and may write it or not.
   *
   * @param table the table
   * @param rowId the row
   */
  explain(table: string, rowId: string): Promise<RowExplanation>;
}

type Row = Readonly<Record<string, Value | undefined>>;
type Rows = Readonly<Record<string, readonly Row[] | undefined>>;

/** An INSERT carries every column, as clients send it, an UPDATE those that it is given. */
function writes(op: Op, row: Row, column: string): boolean {
  return op === "INSERT" || (op === "UPDATE" && row[column] !== undefined);
}

/** Schema, rules and rows, from which a gateway is made as often as one is needed. */
class Fixture {
  readonly schema: Schema;
  readonly #rows: readonly Delta[];

  constructor(readonly spec: SchemaSpec, readonly rules: RulesSpec, rows: Rows) {
    this.schema = parseSchema(spec);
    this.#rows = Object.entries(rows).flatMap(([table, list = []]) =>
      list.map((row) => this.delta("INSERT", table, row))
    );
  }

  table(name: string): Table {
    const table = this.schema.tables.get(name);
    if (table === undefined) throw new Error(`There is no table ${name} in the schema`);
    return table;
  }

  /** A change as a client would send it. */
  delta(op: Op, name: string, row: Row): Delta {
    const table = this.table(name);
    for (const column of Object.keys(row)) {
      if (!table.byName.has(column)) {
        throw new Error(`There is no column ${column} in table ${name}`);
      }
    }
    const key = table.primaryKey.map((column) => row[column.name] ?? null);
    if (key.includes(null)) throw new Error(`A row of table ${name} needs its key`);
    const columns = table.columns
      .filter((column) => !column.key && writes(op, row, column.name))
      .map((column) => column.name);
    return {
      shape: { op, table: name, columns },
      rowId: rowIdOf(table, key),
      hlc: undefined,
      values: columns.map((column) => row[column] ?? null),
      deltaId: undefined,
    };
  }

  /** Opens gateways of which one holds the rows by the rules. */
  async open(): Promise<Gateways> {
    const gateways = openGateways(memoryStores(), DENO_ENVIRONMENT);
    try {
      const gateway = await gateways.create(GATEWAY);
      await gateway.putSchema(this.spec);
      for (let i = 0; i < this.#rows.length; i += PIECE) {
        const refusal = await this.push(
          gateway,
          ADMIN,
          this.#rows.slice(i, i + PIECE),
          1 + i / PIECE,
        );
        if (refusal !== undefined) throw new Error(`A row was refused: ${refusal.message}`);
      }
      await gateway.putRules(this.rules, BUILD_WAIT_MS);
      return gateways;
    } catch (error) {
      await gateways.close();
      throw error;
    }
  }

  /** Pushes one transaction; gives why it was refused. */
  async push(
    gateway: Gateway,
    caller: Caller,
    deltas: readonly Delta[],
    mutationId: number,
  ): Promise<Rejection | Stop | undefined> {
    const { result } = await gateway.push(caller, {
      clientId: caller === ADMIN ? "rows" : "writer",
      schemaVersion: this.schema.version,
      transactions: [{ mutationId, deltas }],
    });
    return result?.stopped ?? result?.rejected[0];
  }
}

class User implements TestedUser {
  readonly #fixture: Fixture;
  readonly #gateway: Gateway;
  readonly #caller: Caller;

  constructor(fixture: Fixture, gateway: Gateway, claims: UserClaims) {
    this.#fixture = fixture;
    this.#gateway = gateway;
    if (!isSubject(claims.sub)) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        'A user needs a sub of 1 to 256 printable characters, as in as({ sub: "alice" })',
      );
    }
    const all = { gw: GATEWAY, role: "client", ...claims };
    this.#caller = { sub: claims.sub, admin: all.role === "admin", claims: all };
  }

  sees(): Promise<Record<string, string[]>>;
  sees(table: string, rowId: string): Promise<boolean>;
  async sees(table?: string, rowId?: string): Promise<Record<string, string[]> | boolean> {
    if (table !== undefined) return await this.row(table, rowId ?? "") !== undefined;
    const seen: Record<string, string[]> = {};
    for (const [table, rows] of await this.#pull()) {
      if (rows.size > 0) seen[table] = [...rows.keys()].sort();
    }
    return seen;
  }

  async row(table: string, rowId: string): Promise<Record<string, Value> | undefined> {
    this.#fixture.table(table);
    return (await this.#pull()).get(table)?.get(rowId);
  }

  /** What a client that is new to the gateway is given, by table and rowId. */
  async #pull(): Promise<ReadonlyMap<string, ReadonlyMap<string, Record<string, Value>>>> {
    const tables = new Map<string, Map<string, Record<string, Value>>>();
    let cursor: string | undefined;
    for (;;) {
      const page = await this.#gateway.pull(this.#caller, {
        clientId: "reader",
        limit: PAGE_ROWS,
        schemaVersion: this.#fixture.schema.version,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const { shape, rowId, values } of page.changes) {
        const rows = tables.get(shape.table) ?? new Map<string, Record<string, Value>>();
        tables.set(shape.table, rows);
        const cells = shape.columns.map((column, i) => [column, values[i] ?? null] as const);
        if (shape.op === "REMOVE") rows.delete(rowId);
        else rows.set(rowId, { ...rows.get(rowId), ...Object.fromEntries(cells) });
      }
      if (page.complete) return tables;
      cursor = page.cursor;
    }
  }

  async may(op: Op, table: string, row: Readonly<Record<string, Value>>): Promise<boolean> {
    const delta = this.#fixture.delta(op, table, row);
    if (op !== "INSERT") {
      const mode = this.#fixture.rules.tables?.[table]?.mode;
      if (mode === "upload-only") return false;
      const { exists } = await this.explain(table, delta.rowId);
      if (!exists) throw new Error(`There is no row ${delta.rowId} in table ${table}`);
    }
    const gateways = await this.#fixture.open();
    try {
      const gateway = await gateways.create(GATEWAY);
      const refusal = await this.#fixture.push(gateway, this.#caller, [delta], 1);
      if (refusal === undefined) return true;
      if (refusal.code === "FORBIDDEN_WRITE") return false;
      throw new Error(`The write is refused by ${refusal.code}: ${refusal.message}`);
    } finally {
      await gateways.close();
    }
  }

  explain(table: string, rowId: string): Promise<RowExplanation> {
    return this.#gateway.explain({ claims: this.#caller.claims, table, rowId });
  }
}

/**
 * Puts rules to the test.
 *
 * @param fixture schema, rules, and the rows that are there
 * @returns users to ask
 * @throws {LakeSyncError} `SCHEMA_ERROR`, `VALIDATION_ERROR` with the place in the rules
 * @throws {Error} when a row is not one of the schema
 *
 * @example
 * ```ts
 * import { testRules } from "@lakesync/server/testing";
 *
 * await using tested = await testRules({
 *   schema: {
 *     version: 1,
 *     tables: { todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } } },
 *   },
 *   rules: {
 *     buckets: [{
 *       name: "mine",
 *       tables: ["todos"],
 *       filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
 *     }],
 *   },
 *   rows: { todos: [{ id: "t1", owner: "alice" }, { id: "t2", owner: "bob" }] },
 * });
 * const alice = tested.as({ sub: "alice" });
 * console.assert(await alice.sees("todos", "t1"));
 * console.assert(!await alice.sees("todos", "t2"));
 * console.assert(!await alice.may("UPDATE", "todos", { id: "t1", owner: "bob" }));
 * ```
 */
export async function testRules<const S extends SchemaSpec>(
  fixture: RulesFixture<S>,
): Promise<TestedRules> {
  const rows: Rows = { ...fixture.rows };
  const made = new Fixture(fixture.schema, fixture.rules, rows);
  const gateways = await made.open();
  const gateway = await gateways.create(GATEWAY);
  const close = () => gateways.close();
  return {
    as: (claims) => new User(made, gateway, claims),
    close,
    [Symbol.asyncDispose]: close,
  };
}
