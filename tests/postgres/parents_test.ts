import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import type { Written } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_postgres.ts";

/** A chain, two tables that reference each other, and one that references itself. */
const FAMILY: SchemaSpec = {
  version: 1,
  tables: {
    grandchildren: {
      primaryKey: ["id"],
      columns: { id: "integer", parent: { type: "uuid", references: "children" } },
    },
    children: {
      primaryKey: ["id"],
      columns: {
        id: "uuid",
        parent: { type: "string", references: "parents" },
        other: { type: "string", references: "parents" },
      },
    },
    parents: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    hens: {
      primaryKey: ["id"],
      columns: { id: "string", egg: { type: "string", references: "eggs" } },
    },
    eggs: {
      primaryKey: ["id"],
      columns: { id: "string", hen: { type: "string", references: "hens" }, n: "integer" },
    },
    nodes: {
      primaryKey: ["id"],
      columns: { id: "string", up: { type: "string", references: "nodes" } },
    },
  },
};

const CHILD = "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f";

function insert(table: string, rowId: string, cells: Written["cells"] = {}): Written {
  return { op: "INSERT", table, rowId, cells };
}

async function ids(bed: Bed, table: string): Promise<unknown[]> {
  return (await bed.rows(`SELECT id::text FROM ${table} ORDER BY id`)).map(({ id }) => id);
}

databaseTest("postgres", "foreign keys are made deferrable, with indexes", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  const keys = await bed.rows(
    `SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent, condeferrable,
       convalidated, EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = k.conrelid
       AND i.indkey[0] = k.conkey[1]) AS has_index FROM pg_constraint k WHERE contype = 'f'
     AND conname LIKE 'lakesync%' ORDER BY 1, 2, conname`,
  );
  const made = { condeferrable: true, convalidated: true, has_index: true };
  assert.deepEqual(keys, [
    { child: "children", parent: "parents", ...made },
    { child: "children", parent: "parents", ...made },
    { child: "eggs", parent: "hens", ...made },
    { child: "grandchildren", parent: "children", ...made },
    { child: "hens", parent: "eggs", ...made },
    { child: "nodes", parent: "nodes", ...made },
  ]);
});

databaseTest("postgres", "rows are written parents first, circles included", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    insert("grandchildren", "1", { parent: CHILD }),
    insert("children", CHILD, { parent: "p1", other: "p2" }),
    insert("nodes", "n1", { up: "n2" }),
    insert("nodes", "n2", { up: "n1" }),
    insert("nodes", "n3", { up: "n3" }),
    insert("hens", "h1", { egg: "e1" }),
    insert("eggs", "e1", { hen: "h1" }),
    insert("parents", "p1"),
    insert("parents", "p2"),
  ));
  assert.deepEqual(await bed.problems(), {});
  assert.deepEqual(await ids(bed, "grandchildren"), ["1"]);
  await bed.log.insert(bed.log.commit(
    ...["parents/p1", "parents/p2", `children/${CHILD}`, "grandchildren/1", "hens/h1", "eggs/e1"]
      .map((name): Written => {
        const [table = "", rowId = ""] = name.split("/");
        return { op: "DELETE", table, rowId };
      }),
    { op: "DELETE", table: "nodes", rowId: "n2" },
    { op: "DELETE", table: "nodes", rowId: "n3" },
  ));
  assert.deepEqual(await bed.problems(), { "nodes/n1": "parked" });
  for (const table of ["grandchildren", "children", "parents", "hens", "eggs", "nodes"]) {
    assert.deepEqual(await ids(bed, table), [], table);
  }
});

databaseTest("postgres", "rows whose parents are missing wait for all of them", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    insert("grandchildren", "1", { parent: CHILD }),
    insert("children", CHILD, { parent: "p1", other: "p2" }),
    insert("parents", "p3"),
  ));
  const waiting = { "grandchildren/1": "parked", [`children/${CHILD}`]: "parked" };
  assert.deepEqual(await bed.problems(), waiting);
  assert.deepEqual(await ids(bed, "parents"), ["p3"]);
  const [first] = await bed.adapter.problems(1);
  assert.match(first?.reason ?? "", /^It references a row that is not in table /);
  await bed.log.insert(bed.log.commit(insert("parents", "p1")));
  assert.deepEqual(await bed.problems(), waiting);
  await bed.log.insert(bed.log.commit(insert("parents", "p2")));
  assert.deepEqual(await bed.problems(), {});
  assert.deepEqual(await ids(bed, "grandchildren"), ["1"]);
});

databaseTest(
  "postgres",
  "a row that leaves its table takes its children along",
  async ({ url }) => {
    await using bed = new Bed(url, FAMILY);
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(
      insert("parents", "p1"),
      insert("children", CHILD, { parent: "p1" }),
      insert("grandchildren", "1", { parent: CHILD }),
      insert("hens", "h1"),
      insert("eggs", "e1", { hen: "h1" }),
      insert("hens", "h2", { egg: "e1" }),
    ));
    assert.deepEqual(await bed.problems(), {});
    await bed.log.insert(bed.log.commit(
      { op: "DELETE", table: "parents", rowId: "p1" },
      { op: "DELETE", table: "hens", rowId: "h1" },
    ));
    assert.deepEqual(await bed.problems(), {
      [`children/${CHILD}`]: "parked",
      "eggs/e1": "parked",
      "grandchildren/1": "parked",
      "hens/h2": "parked",
    });
    await bed.log.insert(bed.log.commit(
      { table: "children", rowId: CHILD, cells: { parent: null } },
      { table: "eggs", rowId: "e1", cells: { hen: null } },
    ));
    assert.deepEqual(await bed.problems(), {});
    assert.deepEqual(await ids(bed, "grandchildren"), ["1"]);
    assert.deepEqual(await ids(bed, "hens"), ["h2"]);
  },
);

databaseTest("postgres", "many rows that wait for one come in pieces", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  const rows = Array.from({ length: 2_500 }, (_, i) => insert("nodes", `n${i}`, { up: "root" }));
  await bed.log.insert(bed.log.commit(...rows));
  assert.deepEqual(await ids(bed, "nodes"), []);
  await bed.log.insert(bed.log.commit(insert("nodes", "root")));
  assert.equal((await ids(bed, "nodes")).length, 2_501);
  assert.deepEqual(await bed.problems(), {});
});

databaseTest("postgres", "a refused row of a circle parks those that need it", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.sql`ALTER TABLE eggs ADD CHECK (n < 10)`;
  await bed.log.insert(bed.log.commit(
    insert("hens", "h1", { egg: "e1" }),
    insert("eggs", "e1", { hen: "h1", n: 10 }),
    insert("hens", "h2", { egg: "e2" }),
    insert("eggs", "e2", { hen: "h2", n: 1 }),
  ));
  assert.deepEqual(await bed.problems(), { "eggs/e1": "dead", "hens/h1": "parked" });
  assert.deepEqual(await ids(bed, "hens"), ["h2"]);
  await bed.log.insert(bed.log.commit({ table: "eggs", rowId: "e1", cells: { n: 9 } }));
  assert.deepEqual(await bed.problems(), {});
  assert.deepEqual(await ids(bed, "hens"), ["h1", "h2"]);
});

databaseTest("postgres", "rows of a circle that come one by one come together", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(insert("hens", "h1", { egg: "e1" })));
  await bed.log.insert(bed.log.commit(
    insert("nodes", "n1", { up: "n2" }),
    insert("nodes", "n2", { up: "n3" }),
    insert("nodes", "n0", { up: "gone" }),
  ));
  assert.equal(Object.keys(await bed.problems()).length, 4);
  await bed.log.insert(bed.log.commit(
    insert("eggs", "e1", { hen: "h1" }),
    insert("nodes", "n3", { up: "n1" }),
  ));
  assert.deepEqual(await bed.problems(), { "nodes/n0": "parked" });
  assert.deepEqual(await ids(bed, "hens"), ["h1"]);
  assert.deepEqual(await ids(bed, "nodes"), ["n1", "n2", "n3"]);
});
