/**
 * What the devices of a run do: the tables, the rules, and random transactions in an app's own SQL.
 *
 * @module
 */

import { defineRules, type RulesSpec, type SchemaSpec } from "@lakesync/core";
import type { Random } from "../oracle/random.ts";
import type { ListAppend, TxName, Write } from "./history.ts";

const TEXT = "string";

/** The tables in their first version. */
const TABLES = {
  marks: { primaryKey: ["id"], columns: { id: TEXT, list: TEXT, author: TEXT } },
  twins: { primaryKey: ["id"], columns: { id: TEXT, list: TEXT, author: TEXT } },
  regs: { primaryKey: ["id"], columns: { id: TEXT, list: TEXT, a: TEXT, b: TEXT } },
  tallies: {
    primaryKey: ["id"],
    columns: {
      id: TEXT,
      list: TEXT,
      n: { type: "integer", merge: "counter" },
      hi: { type: "integer", merge: "max" },
      lo: { type: "integer", merge: "min" },
    },
  },
  bags: {
    primaryKey: ["id"],
    columns: { id: TEXT, list: TEXT, tags: { type: "json", merge: "set" } },
  },
  items: {
    primaryKey: ["id"],
    columns: { id: TEXT, list: TEXT, key: TEXT, el: "integer" },
  },
  lists: { primaryKey: ["id"], columns: { id: TEXT, name: TEXT } },
  members: { primaryKey: ["id"], columns: { id: TEXT, list: TEXT, user: TEXT } },
} as const;

/** The versions of the schema; the second one has a column more. */
export const SCHEMAS: readonly [SchemaSpec, SchemaSpec] = [
  { version: 1, tables: TABLES },
  {
    version: 2,
    tables: {
      ...TABLES,
      regs: { ...TABLES.regs, columns: { ...TABLES.regs.columns, c: TEXT } },
    },
  },
];

/** Tables whose rows belong to a list. */
export const LISTED = ["marks", "twins", "regs", "tallies", "bags", "items"] as const;

const OF_LIST = { column: "list", op: "in", value: "param:list" } as const;
const listed = LISTED.map((table) => ({ table, filters: [OF_LIST] }));
const OF_CALLER = { column: "user", op: "eq", value: "jwt:sub" } as const;
const IS_BOSS = { claim: "boss", op: "eq", value: true } as const;
const PARAMETERS = {
  list: { from: "members", column: "list", filters: [OF_CALLER] },
} as const;
const WRITE = [
  {
    tables: [...LISTED],
    ops: ["INSERT", "UPDATE", "DELETE"],
    filters: [OF_LIST],
  },
  { tables: ["lists", "members"], ops: ["INSERT", "UPDATE", "DELETE"], filters: [IS_BOSS] },
] as const;
const DIRECTORY = { name: "directory", tables: ["lists", "members"] } as const;

/**
 * Rules that come one after the other. All show a member the rows of the lists it is in, by other
 * buckets; everybody sees who is in which list.
 */
export const RULES: readonly RulesSpec[] = [
  defineRules(SCHEMAS[0], {
    parameters: PARAMETERS,
    buckets: [{ name: "by_list", tables: listed }, DIRECTORY],
    write: WRITE,
  }),
  defineRules(SCHEMAS[0], {
    parameters: PARAMETERS,
    buckets: [
      { name: "marks", tables: listed.slice(0, 2) },
      { name: "others", tables: listed.slice(1) },
      DIRECTORY,
    ],
    write: WRITE,
  }),
  defineRules(SCHEMAS[0], {
    parameters: PARAMETERS,
    buckets: [
      { name: "by_list", tables: listed },
      {
        name: "own",
        tables: listed.slice(0, 2),
        filters: [{ column: "author", op: "eq", value: "jwt:sub" }],
      },
      DIRECTORY,
    ],
    write: WRITE,
  }),
];

/** How the user is called who makes a gateway's lists and says who is in them; itself in all. */
export const BOSS = "boss";

/** Whether a user is that of {@linkcode BOSS} of a gateway. */
export function isBoss(user: string): boolean {
  return user.startsWith(`${BOSS}-`);
}

/** A statement in an app's SQL. */
export interface SqlStatement {
  readonly sql: string;
  readonly params: readonly (string | number)[];
}

/** A transaction of the workload. */
export interface Transaction {
  readonly tx: TxName;
  readonly list: string;
  readonly statements: readonly SqlStatement[];
  readonly writes: readonly Write[];
  readonly appends: readonly ListAppend[];
}

/** How many rows of each kind a list has. */
const ROWS = 3;

interface Draft {
  readonly statements: SqlStatement[];
  readonly writes: Write[];
  readonly appends: ListAppend[];
}

function add(draft: Draft, sql: string, params: (string | number)[], write: Write): void {
  draft.statements.push({ sql, params });
  draft.writes.push(write);
}

function remove(draft: Draft, table: string, rowId: string): void {
  add(draft, `DELETE FROM ${table} WHERE id = ?`, [rowId], write(table, rowId, "DELETE", {}));
}

/** What a transaction may do beside its mark and twin. */
type Part = (draft: Draft, random: Random, list: string, tx: TxName) => void;

const reg: Part = (draft, random, list, tx) => {
  const rowId = `${list}-r${random.below(ROWS)}`;
  const choice = random.below(10);
  if (choice === 0) return remove(draft, "regs", rowId);
  if (choice < 4) {
    const columns = { list, a: tx, b: tx };
    return add(
      draft,
      "INSERT INTO regs (id, list, a, b) VALUES (?, ?, ?, ?) " +
        "ON CONFLICT DO UPDATE SET a = excluded.a, b = excluded.b",
      [rowId, list, tx, tx],
      write("regs", rowId, "INSERT", columns),
    );
  }
  const column = choice < 7 ? "a" : "b";
  add(
    draft,
    `UPDATE regs SET ${column} = ? WHERE id = ?`,
    [tx, rowId],
    write("regs", rowId, "UPDATE", { [column]: tx }),
  );
};

const tally: Part = (draft, random, list) => {
  const rowId = `${list}-t${random.below(ROWS)}`;
  if (random.chance(0.08)) return remove(draft, "tallies", rowId);
  const n = random.between(-9, 9);
  add(
    draft,
    "INSERT INTO tallies (id, list, n, hi, lo) VALUES (?1, ?2, ?3, ?3, ?3) " +
      "ON CONFLICT DO UPDATE SET n = n + ?3, hi = max(hi, ?3), lo = min(lo, ?3)",
    [rowId, list, n],
    write("tallies", rowId, "UPDATE", { n }),
  );
};

const bag: Part = (draft, random, list) => {
  const rowId = `${list}-b${random.below(ROWS)}`;
  if (random.chance(0.08)) return remove(draft, "bags", rowId);
  const tag = `e${random.below(5)}`;
  if (random.chance(0.3)) {
    return add(
      draft,
      "UPDATE bags SET tags = (SELECT json_group_array(value) FROM json_each(tags) " +
        "WHERE value <> ?) WHERE id = ?",
      [tag, rowId],
      write("bags", rowId, "UPDATE", { remove: tag }),
    );
  }
  add(
    draft,
    "INSERT INTO bags (id, list, tags) VALUES (?1, ?2, json_array(?3)) ON CONFLICT DO UPDATE SET " +
      "tags = CASE WHEN EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?3) THEN tags " +
      "ELSE json_insert(tags, '$[#]', ?3) END",
    [rowId, list, tag],
    write("bags", rowId, "UPDATE", { add: tag }),
  );
};

function write(
  table: string,
  rowId: string,
  op: Write["op"],
  columns: Write["columns"],
): Write {
  return { table, rowId, op, columns };
}

const PARTS: readonly (readonly [number, Part])[] = [[4, reg], [3, tally], [3, bag]];

/**
 * Makes a transaction.
 *
 * @param random chance
 * @param tx its name
 * @param author the user
 * @param list the list all its rows are in
 * @param append what it appends, if anything
 */
export function makeTransaction(
  random: Random,
  tx: TxName,
  author: string,
  list: string,
  append: ListAppend | undefined,
): Transaction {
  const draft: Draft = { statements: [], writes: [], appends: [] };
  const parts: (() => void)[] = [];
  for (const table of ["marks", "twins"]) {
    parts.push(() =>
      add(
        draft,
        `INSERT INTO ${table} (id, list, author) VALUES (?, ?, ?)`,
        [tx, list, author],
        write(table, tx, "INSERT", { list, author }),
      )
    );
  }
  for (let i = random.below(8); i > 0; i--) {
    const part = random.weighted(PARTS);
    parts.push(() => part(draft, random, list, tx));
  }
  if (append !== undefined) {
    const { key, element } = append;
    const id = `${key}:${element}`;
    parts.push(() => {
      draft.appends.push(append);
      add(
        draft,
        "INSERT INTO items (id, list, key, el) VALUES (?, ?, ?, ?)",
        [id, list, key, element],
        write("items", id, "INSERT", { list, key, el: element }),
      );
    });
  }
  while (parts.length > 0) parts.splice(random.below(parts.length), 1)[0]?.();
  return { tx, list, ...draft };
}
