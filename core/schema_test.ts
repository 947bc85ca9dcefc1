import assert from "node:assert/strict";
import fc from "fast-check";
import { LakeSyncError } from "./errors.ts";
import {
  defineSchema,
  type InsertOf,
  type KeyOf,
  keyOf,
  type MergeKind,
  parseSchema,
  rowIdOf,
  type RowOf,
  type Table,
  type TypeOf,
} from "./schema.ts";
import { valueOf } from "./testing_values.ts";
import type { ColumnType, JsonValue, Value } from "./value.ts";

const TODOS = { primaryKey: ["id"], columns: { id: "string" } };

function refuses(input: unknown, message: RegExp): void {
  assert.throws(() => parseSchema(input), (error) => {
    assert.ok(error instanceof LakeSyncError);
    assert.equal(error.code, "SCHEMA_ERROR");
    assert.match(error.message, message);
    return true;
  });
}

function withTable(table: unknown): unknown {
  return { version: 1, tables: { todos: table } };
}

function withColumn(name: string, column: unknown): unknown {
  const columns = { id: "string", [name]: column };
  return withTable({ primaryKey: ["id"], columns });
}

Deno.test("parseSchema keeps tables and columns in order, with keys and defaults", () => {
  const spec = {
    version: 2,
    tables: {
      lists: { primaryKey: ["id"], columns: { id: "uuid" } },
      items: {
        primaryKey: ["no", "list_id"],
        columns: {
          list_id: { type: "uuid", references: "lists" },
          no: "integer",
          price: { type: "decimal(10,2)", merge: "lww" },
        },
      },
    },
  };
  const schema = parseSchema(JSON.parse(JSON.stringify(spec)));
  assert.equal(schema.version, 2);
  assert.deepStrictEqual([...schema.tables.keys()], ["lists", "items"]);
  assert.deepStrictEqual(schema.spec, spec);
  const items = schema.tables.get("items");
  assert.deepStrictEqual(items?.primaryKey.map((c) => c.name), [
    "no",
    "list_id",
  ]);
  assert.deepStrictEqual(
    items?.columns.map(({ name, type, merge, references, key }) => [
      name,
      type,
      merge,
      references,
      key,
    ]),
    [
      ["list_id", "uuid", "lww", "lists", true],
      ["no", "integer", "lww", undefined, true],
      ["price", "decimal(10,2)", "lww", undefined, false],
    ],
  );
  assert.equal(items?.byName.get("price"), items?.columns[2]);
});

Deno.test("parseSchema says where a schema is wrong", () => {
  for (const input of [undefined, null, 1, "x", []]) {
    refuses(input, /^Schema at \$: /);
  }
  for (const version of [0, -1, 1.5, "1", 2 ** 31, NaN, undefined]) {
    refuses({ version, tables: {} }, /^Schema at \$\.version: /);
  }
  refuses({ version: 1, tables: {}, more: 1 }, /^Schema at \$: .*"more"/);
  refuses({ version: 1 }, /^Schema at \$\.tables: /);
  refuses({ version: 1, tables: [] }, /^Schema at \$\.tables: /);
  refuses(withTable("id"), /^Schema at \$\.tables\.todos: /);
  refuses(withTable({ ...TODOS, keys: [] }), /\$\.tables\.todos: .*"keys"/);
  refuses(withTable({ ...TODOS, columns: [] }), /todos\.columns: /);
  refuses(withColumn("title", "text"), /todos\.columns\.title: type must be/);
  refuses(withColumn("title", { type: 1 }), /todos\.columns\.title: type/);
  refuses(withColumn("title", null), /todos\.columns\.title: a column is/);
  refuses(
    withColumn("title", { type: "string", nullable: false }),
    /title: unknown field "nullable"/,
  );
  for (const merge of ["sum", "LWW", "constructor", 1, null]) {
    refuses(
      withColumn("votes", { type: "integer", merge }),
      /todos\.columns\.votes: merge must be lww, counter, max, min or set/,
    );
  }
  refuses(
    withColumn("list", { type: "string", references: "lists" }),
    /todos\.columns\.list: references a table that is not there/,
  );
  refuses(
    withColumn("list", { type: "string", references: 1 }),
    /todos\.columns\.list: references must be/,
  );
});

Deno.test("parseSchema takes a merge kind only for the types it can merge", () => {
  const types = [
    ...["string", "integer", "number", "boolean", "timestamp", "date", "uuid"],
    ...["decimal(10,2)", "bytes", "json"],
  ];
  const ordered = ["string", "integer", "number", "timestamp", "date", "decimal(10,2)"];
  const takes: Readonly<Record<MergeKind, readonly string[]>> = {
    lww: types,
    counter: ["integer"],
    max: ordered,
    min: ordered,
    set: ["json"],
  };
  for (const [merge, fitting] of Object.entries(takes)) {
    for (const type of types) {
      const schema = withColumn("x", { type, merge });
      if (fitting.includes(type)) {
        assert.equal(parseSchema(schema).tables.get("todos")?.byName.get("x")?.merge, merge);
      } else refuses(schema, /todos\.columns\.x: merge \w+ is for an? /);
    }
    const key = withTable({ primaryKey: ["id"], columns: { id: { type: "integer", merge } } });
    if (merge === "lww") assert.ok(parseSchema(key));
    else refuses(key, /columns\.id: (a key column must be lww|merge set is for)/);
  }
});

Deno.test("a set column's check takes arrays of scalars alone", () => {
  const tags = parseSchema(withColumn("tags", { type: "json", merge: "set" }))
    .tables.get("todos")?.byName.get("tags");
  const misfit = (value: Value) => tags?.check(value) ?? "fits";
  for (const value of [[], ["a", 1, true, -0.5]]) assert.equal(misfit(value), "fits");
  for (const value of ["a", {}, [null], [[]], [{}], [NaN], { add: [1] }]) {
    assert.match(misfit(value), /^takes an array of/);
  }
  assert.match(misfit(["a\0"]), /NUL/);
  assert.match(misfit(["\ud800"]), /lone surrogates/);
  assert.match(misfit(["a".repeat(4 * 1024 * 1024)]), /at most 4194304 bytes/);
});

Deno.test("parseSchema refuses keys that are missing, doubled or cannot be text", () => {
  for (const primaryKey of [undefined, [], "id", [1], {}]) {
    refuses(withTable({ ...TODOS, primaryKey }), /todos\.primaryKey: name/);
  }
  refuses(withTable({ ...TODOS, primaryKey: ["no"] }), /no column "no"/);
  refuses(withTable({ ...TODOS, primaryKey: ["id", "id"] }), /id is there twi/);
  for (const type of ["number", "boolean", "bytes", "json"]) {
    refuses(
      withTable({ primaryKey: ["id"], columns: { id: type } }),
      /columns\.id: a key column must be/,
    );
  }
});

Deno.test("parseSchema refuses names that SQL, SQLite or LakeSync cannot keep apart", () => {
  for (
    const name of [
      "",
      "1a",
      "a-b",
      "a b",
      'a"b',
      "a;b",
      "é",
      "a\n",
      "a".repeat(65),
      "_lakesync_out",
      "LakeSync_x",
      "sqlite_master",
      "__proto__",
    ]
  ) {
    const table = {
      version: 1,
      tables: JSON.parse(
        `{${JSON.stringify(name)}:{"primaryKey":["id"],"columns":{"id":"string"}}}`,
      ),
    };
    refuses(table, /^Schema at \$\.tables\./);
    const columns = JSON.parse(
      `{"id":"string",${JSON.stringify(name)}:"string"}`,
    );
    refuses(withTable({ primaryKey: ["id"], columns }), /todos\.columns\./);
  }
  refuses(withColumn("ID", "string"), /ID is there twice/);
  refuses(
    { version: 1, tables: { todos: TODOS, Todos: TODOS } },
    /Todos is there twice/,
  );
  for (const name of ["constructor", "toString", "a".repeat(64), "_a"]) {
    assert.ok(parseSchema(withColumn(name, "string")));
  }
});

Deno.test("parseSchema keeps a declared former name of a table and of a column", () => {
  const { tables } = parseSchema({
    version: 2,
    tables: {
      tasks: {
        primaryKey: ["id"],
        renamedFrom: "todos",
        columns: { id: "string", name: { type: "string", renamedFrom: "title" }, Done: "boolean" },
      },
    },
  });
  assert.equal(tables.get("tasks")?.renamedFrom, "todos");
  assert.equal(tables.get("tasks")?.byName.get("name")?.renamedFrom, "title");
  assert.equal(tables.get("tasks")?.byName.get("Done")?.renamedFrom, undefined);
  parseSchema(withColumn("Title", { type: "string", renamedFrom: "title" }));
});

Deno.test("parseSchema refuses a former name that is in use, reserved, shared or a key's", () => {
  const from = (renamedFrom: unknown) => ({ type: "string", renamedFrom });
  for (const name of ["_lakesync_x", "SQLITE_x", "a b", 'a"b', "", "__proto__"]) {
    refuses(
      withColumn("title", from(name)),
      /\$\.tables\.todos\.columns\.title\.renamedFrom: a? ?name/,
    );
    refuses(withTable({ ...TODOS, renamedFrom: name }), /\$\.tables\.todos\.renamedFrom: a? ?name/);
  }
  refuses(withColumn("title", from(1)), /must be the name it had/);
  refuses(withColumn("title", from("title")), /must be another name/);
  refuses(withColumn("title", from("ID")), /renamedFrom is ID, which this version has/);
  const columns = { id: "string", a: from("old"), b: from("OLD") };
  refuses(withTable({ primaryKey: ["id"], columns }), /columns\.b: renamedFrom is OLD, which/);
  refuses(
    withTable({ primaryKey: ["id"], columns: { id: from("key") } }),
    /a key column keeps its name/,
  );
  refuses({ version: 1, tables: { a: TODOS, b: { ...TODOS, renamedFrom: "a" } } }, /tables\.b: /);
});

Deno.test("parseSchema bounds tables and columns", () => {
  const many = (count: number, prefix: string, value: unknown) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`${prefix}${i}`, value]),
    );
  assert.ok(parseSchema({ version: 1, tables: many(1_000, "t", TODOS) }));
  refuses({ version: 1, tables: many(1_001, "t", TODOS) }, /at most 1000 tab/);
  const columns = { id: "string", ...many(1_000, "c", "string") };
  refuses(withTable({ primaryKey: ["id"], columns }), /at most 1000 columns/);
});

Deno.test("parseSchema throws nothing but SCHEMA_ERROR, whatever it is given", () => {
  const part = fc.oneof(
    fc.anything(),
    fc.constantFrom("string", "id", ["id"], TODOS),
  );
  const input = fc.oneof(
    fc.anything(),
    fc.record({
      version: fc.constant(1),
      tables: fc.dictionary(fc.string(), part),
    }),
    fc.record({ primaryKey: part, columns: part }).map(withTable),
    part.map((column) => withColumn("title", column)),
  );
  fc.assert(
    fc.property(input, (value) => {
      try {
        parseSchema(value);
      } catch (error) {
        assert.ok(error instanceof LakeSyncError, String(error));
        assert.equal(error.code, "SCHEMA_ERROR");
      }
    }),
    { numRuns: 2_000 },
  );
});

function table(primaryKey: readonly string[], types: readonly string[]): Table {
  const columns = Object.fromEntries(
    primaryKey.map((name, i) => [name, types[i]]),
  );
  const parsed = parseSchema(withTable({ primaryKey, columns }));
  const found = parsed.tables.get("todos");
  assert.ok(found);
  return found;
}

const KEY_TYPES: readonly ColumnType[] = [
  "string",
  "integer",
  "uuid",
  "date",
  "timestamp",
  "decimal(12,4)",
];

for (const type of KEY_TYPES) {
  Deno.test(`keyOf reads what rowIdOf wrote for ${type} keys, alone and with others`, () => {
    const one = table(["id"], [type]);
    const two = table(["id", "name"], [type, "string"]);
    fc.assert(
      fc.property(valueOf(type), valueOf("string"), (id, name) => {
        if (id !== "") {
          assert.deepStrictEqual(keyOf(one, rowIdOf(one, [id])), [id]);
        }
        assert.deepStrictEqual(keyOf(two, rowIdOf(two, [id, name])), [
          id,
          name,
        ]);
      }),
    );
  });
}

Deno.test("keyOf says what is wrong with a rowId", () => {
  const text = table(["id"], ["string"]);
  const integer = table(["id"], ["integer"]);
  const pair = table(["org", "no"], ["string", "integer"]);
  const cases: readonly (readonly [Table, string, RegExp])[] = [
    [text, "", /must not be empty/],
    [text, "a\0", /NUL/],
    [text, "\ud800", /lone surrogates/],
    [text, "é".repeat(513), /at most 1024 bytes/],
    [integer, "1.5", /whole number/],
    [integer, "x", /whole number/],
    [integer, "007", /canonical/],
    [integer, "-0", /canonical/],
    [integer, "1e3", /canonical/],
    [integer, " 1", /canonical/],
    [integer, "9223372036854775808", /whole number/],
    [pair, "a", /JSON array of the 2/],
    [pair, '["a"]', /JSON array of the 2/],
    [pair, '["a",1,2]', /JSON array of the 2/],
    [pair, '["a", 1]', /canonical/],
    [pair, '["a",1.0]', /canonical/],
    [pair, '["a",null]', /lacks the key column no/],
    [pair, '[1,"a"]', /org takes a text/],
    [pair, '["\\ud800",1]', /org takes text without/],
    [pair, '["\\u0061",1]', /canonical/],
    [pair, '["a","9007199254740991"]', /no takes a whole number/],
  ];
  for (const [of, rowId, message] of cases) {
    const key = keyOf(of, rowId);
    assert.match(typeof key === "string" ? key : "fits", message, rowId);
  }
  assert.deepStrictEqual(keyOf(integer, "9007199254740993"), [
    9007199254740993n,
  ]);
  assert.deepStrictEqual(keyOf(text, "é".repeat(512)), ["é".repeat(512)]);
});

Deno.test("keyOf never throws, and gives only keys that write the same rowId", () => {
  const pair = table(["org", "no"], ["string", "integer"]);
  const rowId = fc.oneof(fc.string({ unit: "binary" }), fc.json());
  fc.assert(
    fc.property(rowId, (text) => {
      const key = keyOf(pair, text);
      if (typeof key !== "string") assert.equal(rowIdOf(pair, key), text);
    }),
  );
});

// The types themselves: each line compiles only when the two are the same type.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function same<_T extends true>(): void {}

const typed = defineSchema({
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "uuid",
        title: "string",
        votes: { type: "integer", merge: "counter" },
        best: { type: "number", merge: "max" },
        tags: { type: "json", merge: "set" },
        price: "decimal(10,2)",
        weight: { type: "number" },
        done: "boolean",
        blob: "bytes",
        meta: "json",
        due: "timestamp",
        day: "date",
      },
    },
    pairs: {
      primaryKey: ["org", "no"],
      columns: { no: "integer", org: "string", note: "string" },
    },
  },
});
type S = typeof typed;

Deno.test("RowOf, InsertOf and KeyOf infer a row's types from the schema", () => {
  same<Same<KeyOf<S, "pairs">, "org" | "no">>();
  same<Same<RowOf<S, "todos">["id"], string>>();
  same<Same<RowOf<S, "todos">["title"], string | null>>();
  same<Same<RowOf<S, "todos">["votes"], number | bigint | null>>();
  same<Same<RowOf<S, "todos">["best"], number | null>>();
  same<Same<RowOf<S, "todos">["tags"], readonly (string | number | boolean)[] | null>>();
  same<Same<InsertOf<S, "todos">["tags"], RowOf<S, "todos">["tags"] | undefined>>();
  same<Same<RowOf<S, "todos">["price"], string | null>>();
  same<Same<RowOf<S, "todos">["weight"], number | null>>();
  same<Same<RowOf<S, "todos">["done"], boolean | null>>();
  same<Same<RowOf<S, "todos">["blob"], Uint8Array | null>>();
  same<Same<RowOf<S, "todos">["meta"], JsonValue | null>>();
  same<Same<RowOf<S, "todos">["due"], string | null>>();
  same<Same<RowOf<S, "pairs">["no"], number | bigint>>();
  same<Same<keyof RowOf<S, "pairs">, "org" | "no" | "note">>();
  same<Same<TypeOf<"text">, never>>();

  const least: InsertOf<S, "pairs"> = { org: "a", no: 1 };
  const full: InsertOf<S, "pairs"> = { org: "a", no: 1n, note: null };
  // @ts-expect-error a key column is missing
  const noKey: InsertOf<S, "pairs"> = { org: "a" };
  // @ts-expect-error a key column is never null
  const nullKey: InsertOf<S, "pairs"> = { org: "a", no: null };
  // @ts-expect-error the column is not in the table
  const unknown: InsertOf<S, "pairs"> = { org: "a", no: 1, more: 1 };
  // @ts-expect-error the value does not fit the column
  const misfit: InsertOf<S, "pairs"> = { org: "a", no: 1, note: 5 };
  // @ts-expect-error the table is not in the schema
  type NoTable = RowOf<S, "lists">;
  const values: readonly Value[] = [least.org, full.no];
  assert.deepStrictEqual(values, ["a", 1n]);
  assert.equal([noKey, nullKey, unknown, misfit].length, 4);
});

Deno.test("defineSchema gives back the schema and throws SCHEMA_ERROR when it is not valid", () => {
  assert.equal(typed.tables.todos.columns.title, "string");
  assert.throws(
    () =>
      defineSchema({
        version: 1,
        tables: { a: { primaryKey: ["b"], columns: { c: "string" } } },
      }),
    { name: "LakeSyncError", code: "SCHEMA_ERROR" },
  );
});
