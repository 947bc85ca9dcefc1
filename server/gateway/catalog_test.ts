import assert from "node:assert/strict";
import fc from "fast-check";
import { LakeSyncError, type Shape } from "@lakesync/core";
import { Catalog, type CatalogVersion, MAX_VERSIONS, servedVersion } from "./catalog.ts";
import type { Census } from "./census.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const SEEN_MS = Date.UTC(2026, 0, 20);
const NOTES = { id: "string", title: "string", n: "integer" };

type Columns = Readonly<Record<string, unknown>>;

function spec(version: number, columns: Columns, more: object = {}): unknown {
  return { version, tables: { notes: { primaryKey: ["id"], columns }, ...more } };
}

/** No client was seen within the kept history. */
const GONE = { census: new Map(), sinceMs: 0, force: false };

function chain(...specs: readonly unknown[]): Catalog {
  return specs.reduce(
    (catalog: Catalog | undefined, one) => Catalog.load(Catalog.next(catalog, one, GONE).store()),
    undefined,
  ) ?? Catalog.next(undefined, specs[0]);
}

function refuses(work: () => unknown, message: RegExp, code = "SCHEMA_ERROR"): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof LakeSyncError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

/** The names of a version's columns by their numbers. */
function names(version: CatalogVersion | undefined, table: number): unknown[] | undefined {
  return version?.tableById(table)?.columns.map((column) => column?.name);
}

function update(table: string, ...columns: string[]): Shape {
  return { op: "UPDATE", table, columns };
}

function compiled(version: CatalogVersion | undefined, shape: Shape): readonly number[] | string {
  const result = version?.compile(shape) ?? "not served";
  return typeof result === "string" ? result : result.columns;
}

Deno.test("G12: a renamed table and column keep their numbers, each version its names", () => {
  const catalog = chain(
    spec(1, NOTES),
    {
      version: 2,
      tables: {
        lists: { primaryKey: ["id"], columns: { id: "string" } },
        memos: {
          primaryKey: ["id"],
          renamedFrom: "notes",
          columns: { n: "integer", id: "string", text: { type: "string", renamedFrom: "title" } },
        },
      },
    },
  );
  const [one, two] = [catalog.version(1), catalog.version(2)];
  assert.deepEqual(catalog.versions, [1, 2]);
  assert.deepEqual([one?.table("notes")?.id, two?.table("memos")?.id], [1, 1]);
  assert.deepEqual([one?.table("memos"), two?.table("notes")], [undefined, undefined]);
  assert.deepEqual(names(one, 1), ["id", "title", "n"]);
  assert.deepEqual(names(two, 1), ["id", "text", "n"]);
  assert.deepEqual([one?.tableById(2), names(two, 2)], [undefined, ["id"]]);
  assert.deepEqual(compiled(one, update("notes", "n", "title")), [2, 1]);
  assert.deepEqual(compiled(two, update("memos", "n", "text")), [2, 1]);
  assert.match(String(compiled(one, update("notes", "text"))), /No column "text"/);
  assert.match(String(compiled(two, update("notes", "title"))), /No table "notes"/);
});

Deno.test("G12: a shape that two versions share is compiled for each", () => {
  const catalog = chain(
    spec(1, { id: "string", a: "string", b: "string" }),
    spec(2, { id: "string", b2: { type: "string", renamedFrom: "b" }, a: "string" }),
    spec(3, { id: "string", b2: "string", b: { type: "string", renamedFrom: "a" } }),
  );
  const shape = update("notes", "b");
  assert.deepEqual(compiled(catalog.version(1), shape), [2]);
  assert.match(String(compiled(catalog.version(2), shape)), /No column "b"/);
  assert.deepEqual(compiled(catalog.version(3), shape), [1]);
  assert.deepEqual(compiled(catalog.version(1), shape), [2]);
  const result = catalog.version(1)?.compile(shape);
  assert.ok(typeof result === "object");
  assert.equal(result.table, catalog.table("notes"));
  assert.deepEqual(result.specs.map(({ name }) => name), ["b"]);
});

Deno.test("version stands for the newest when none is named, or one that is not there yet", () => {
  const catalog = chain(spec(2, NOTES), spec(5, { ...NOTES, due: "date" }));
  assert.equal(catalog.version(0)?.schema.version, 5);
  assert.equal(catalog.version(6)?.schema.version, 5);
  assert.equal(catalog.version(2)?.schema.version, 2);
  assert.equal(catalog.version(1), undefined);
  assert.equal(catalog.version(3), undefined);
  refuses(() => servedVersion(catalog, 3), /version 3 is no longer served/, "SCHEMA_CONFLICT");
  assert.equal(servedVersion(catalog, 2), catalog.version(2));
});

Deno.test("a declared rename may stay in later versions, or go", () => {
  const renamed = { type: "string", renamedFrom: "title" };
  const catalog = chain(
    spec(1, { id: "string", title: "string" }),
    spec(2, { id: "string", text: renamed }),
    spec(3, { id: "string", text: renamed, due: "date" }),
    spec(4, { id: "string", text: "string", due: "date" }),
  );
  assert.deepEqual(catalog.versions, [1, 2, 3, 4]);
  assert.deepEqual(names(catalog.version(4), 1), ["id", "text", "due"]);
  assert.deepEqual(names(catalog.version(1), 1), ["id", "title", undefined]);
  assert.equal(catalog.table("notes")?.columns[2]?.since, 3);
});

Deno.test("a rename of what the version before does not have, or still has, is refused", () => {
  const from = (renamedFrom: string) => ({ type: "string", renamedFrom });
  const one = chain(spec(1, { id: "string", a: "string", b: "string" }));
  const put = (columns: Columns, more: object = {}) => () =>
    Catalog.next(one, spec(2, columns, more));
  refuses(
    put({ id: "string", a: "string", b: "string", c: from("x") }),
    /renames column notes\.c from x, which schema version 1 does not have/,
  );
  refuses(put({ id: "string", b: from("a") }), /notes\.b from a, but schema version 1 has both/);
  refuses(
    put({ id: "string", a: "string", b: "string" }, {
      memos: { primaryKey: ["id"], renamedFrom: "lists", columns: { id: "string" } },
    }),
    /renames table memos from lists, which schema version 1 does not have/,
  );
  refuses(
    put({ id: "string", a: "string", b: "string", c: from("a") }),
    /renamedFrom is a, which this version has/,
  );
  const first = Catalog.next(undefined, spec(7, { id: "string", c: from("x") }));
  assert.deepEqual(names(first.version(7), 1), ["id", "c"]);
});

Deno.test("G12: a drop is refused while clients that know it were seen, and goes through when forced", () => {
  const one = chain(spec(1, NOTES), spec(2, { ...NOTES, due: "date" }));
  const census: Census = new Map([[1, SEEN_MS]]);
  const { n: _, ...fewer } = { ...NOTES, due: "date" };
  const put = (sinceMs: number, force = false, columns: Columns = fewer) =>
    Catalog.next(one, spec(3, columns), { census, sinceMs, force });
  refuses(
    () => put(SEEN_MS),
    /drops column notes\.n, and clients of schema version 1 were seen on 2026-01-20;/,
  );
  const { due: __, ...withoutDue } = { ...NOTES, due: "date" };
  refuses(() => Catalog.next(one, spec(3, fewer)), /schema version 1 may still be there;/);
  const unknowing = put(SEEN_MS, false, withoutDue);
  assert.deepEqual(unknowing.versions, [1, 3]);
  for (const dropped of [put(SEEN_MS, true), put(SEEN_MS + DAY_MS)]) {
    assert.deepEqual(dropped.versions, [3]);
    assert.equal(dropped.version(1), undefined);
    assert.deepEqual(names(dropped.version(3), 1), ["id", "title", undefined, "due"]);
    const again = Catalog.next(dropped, spec(4, { ...NOTES, due: "date" }));
    assert.deepEqual(names(again.version(4), 1), ["id", "title", undefined, "due", "n"]);
    assert.deepEqual(compiled(again.version(4), update("notes", "n")), [4]);
    assert.equal(again.table("notes")?.byName.get("n")?.since, 4);
  }
});

Deno.test("G12: a dropped table's number is not given again", () => {
  const lists = { primaryKey: ["id"], columns: { id: "string" } };
  const catalog = chain(spec(1, NOTES, { lists }), spec(2, NOTES), spec(3, NOTES, { lists }));
  assert.deepEqual(catalog.versions, [2, 3]);
  assert.deepEqual([catalog.tableById(2), catalog.table("lists")?.id], [undefined, 3]);
});

Deno.test("G12: a type is widened by the same way, and whatever else loses data is refused", () => {
  const columns = { id: "string", u: "uuid", i: "integer", d: "decimal(8,2)", key2: "string" };
  const one = chain(spec(1, columns));
  const census: Census = new Map([[1, SEEN_MS]]);
  const put = (changed: Columns, force: boolean, table: object = {}) => () =>
    Catalog.next(one, {
      version: 2,
      tables: { notes: { primaryKey: ["id"], columns: { ...columns, ...changed }, ...table } },
    }, { census, sinceMs: 0, force });
  refuses(put({ u: "string" }, false), /widens column notes\.u from uuid to string, and clients/);
  const wide = put({ u: "string", i: "number", d: "decimal(12,2)" }, true)();
  assert.deepEqual(wide.versions, [2]);
  assert.deepEqual(names(wide.version(2), 1), ["id", "u", "i", "d", "key2"]);
  for (const changed of [{ i: "decimal(8,2)" }, { d: "decimal(8,4)" }, { u: "bytes" }]) {
    refuses(put(changed, true), /would lose data: column notes\.\w has another type/);
  }
  refuses(put({ id: "uuid" }, true), /table notes has another key/);
  refuses(put({}, true, { primaryKey: ["id", "key2"] }), /table notes has another key/);
  refuses(put({ i: { type: "integer", merge: "counter" } }, true), /another merge kind/);
});

Deno.test("G11: the oldest of many versions goes, unless its clients are still there", () => {
  const many = Array.from({ length: MAX_VERSIONS }, (_, i) => spec(i + 1, NOTES));
  const full = chain(...many);
  assert.equal(full.versions.length, MAX_VERSIONS);
  const next = spec(MAX_VERSIONS + 1, { ...NOTES, due: "date" });
  const census: Census = new Map([[1, SEEN_MS]]);
  refuses(
    () => Catalog.next(full, next, { census, sinceMs: SEEN_MS, force: false }),
    /versions to serve, and clients of schema version 1 were seen/,
  );
  const { versions } = Catalog.next(full, next, { census, sinceMs: 0, force: true });
  assert.deepEqual([versions.length, versions[0]], [MAX_VERSIONS, 2]);
});

/** What one step of a schema's life does to its columns. */
const STEPS = fc.array(
  fc.record({ kind: fc.constantFrom("add", "rename", "drop", "none"), at: fc.nat(9) }),
  { maxLength: 12 },
);

Deno.test("G12: whatever happens to a schema, a number means one column for ever", () => {
  fc.assert(fc.property(STEPS, (steps) => {
    let columns = new Map([["id", 0], ["a", 1]]);
    let given = 2;
    let catalog = chain(spec(1, { id: "string", a: "string" }));
    const versions = [columns];
    for (const [i, { kind, at }] of steps.entries()) {
      const next = new Map(columns);
      const written: Record<string, unknown> = {};
      const others = [...columns.keys()].filter((name) => name !== "id");
      const chosen = others[at % Math.max(1, others.length)];
      // Names are used again on purpose.
      const fresh = `c${at % 4}`;
      if (kind === "add" && !next.has(fresh)) next.set(fresh, given++);
      if (kind === "drop" && chosen !== undefined) next.delete(chosen);
      if (kind === "rename" && chosen !== undefined && !next.has(fresh)) {
        next.set(fresh, next.get(chosen) ?? 0);
        next.delete(chosen);
        written[fresh] = { type: "string", renamedFrom: chosen };
      }
      for (const name of next.keys()) written[name] ??= "string";
      catalog = Catalog.load(Catalog.next(catalog, spec(i + 2, written), GONE).store());
      columns = next;
      versions.push(columns);
    }
    const live = new Set(columns.values());
    for (const [i, known] of versions.entries()) {
      const version = catalog.version(i + 1);
      if (![...known.values()].every((number) => live.has(number))) {
        assert.equal(version, undefined);
        continue;
      }
      const table = version?.table("notes");
      assert.deepEqual(
        new Map([...table?.byName.values() ?? []].map((c) => [c.name, c.id])),
        known,
      );
      for (const [name, number] of known) assert.equal(table?.columns[number]?.name, name);
      assert.equal(table?.columns.filter((column) => column !== undefined).length, known.size);
    }
  }));
});
