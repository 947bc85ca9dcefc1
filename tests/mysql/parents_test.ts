import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import type { Written } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";

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
  return (await bed.rows(`SELECT CAST(id AS CHAR) AS id FROM ${table} ORDER BY id`)).map(({ id }) =>
    id
  );
}

databaseTest("mariadb", "foreign keys are made, with indexes", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  const keys = await bed.rows(
    `SELECT k.TABLE_NAME AS child, k.REFERENCED_TABLE_NAME AS parent,
       EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = DATABASE()
       AND s.TABLE_NAME = k.TABLE_NAME AND s.COLUMN_NAME = k.COLUMN_NAME
       AND s.SEQ_IN_INDEX = 1) AS has_index FROM information_schema.KEY_COLUMN_USAGE k
     WHERE k.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2`,
  );
  assert.deepEqual(keys.map(({ child, parent, has_index }) => [child, parent, Number(has_index)]), [
    ["children", "parents", 1],
    ["children", "parents", 1],
    ["eggs", "hens", 1],
    ["grandchildren", "children", 1],
    ["hens", "eggs", 1],
    ["nodes", "nodes", 1],
  ]);
});

databaseTest("mariadb", "rows are written parents first, circles included", async ({ url }) => {
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

databaseTest("mariadb", "rows whose parents are missing wait for all of them", async ({ url }) => {
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
  "mariadb",
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

databaseTest("mariadb", "many rows that wait for one come in pieces", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  const rows = Array.from({ length: 2_500 }, (_, i) => insert("nodes", `n${i}`, { up: "root" }));
  await bed.log.insert(bed.log.commit(...rows));
  assert.deepEqual(await ids(bed, "nodes"), []);
  await bed.log.insert(bed.log.commit(insert("nodes", "root")));
  assert.equal((await ids(bed, "nodes")).length, 2_501);
  assert.deepEqual(await bed.problems(), {});
});

databaseTest("mariadb", "a refused row of a circle parks those that need it", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.rows("ALTER TABLE eggs ADD CHECK (n < 10)");
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

databaseTest("mariadb", "rows of a circle that come one by one come together", async ({ url }) => {
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

databaseTest("mariadb", "a circle of many rows is written and removed at once", async ({ url }) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  const count = 1_200;
  const name = (i: number) => `n${(i + count) % count}`;
  const all = Array.from({ length: count }, (_, i) => i);
  await bed.log.insert(
    bed.log.commit(...all.map((i) => insert("nodes", name(i), { up: name(i + 1) }))),
  );
  assert.equal((await ids(bed, "nodes")).length, count);
  const loose = await bed.rows("SELECT id FROM nodes WHERE up IS NULL");
  assert.deepEqual(loose, []);
  await bed.log.insert(
    bed.log.commit(
      ...all.map((i): Written => ({ table: "nodes", rowId: name(i), cells: { up: name(i - 1) } })),
    ),
  );
  const turned = await bed.rows("SELECT up FROM nodes WHERE id = 'n5'");
  assert.deepEqual(turned, [{ up: "n4" }]);
  await bed.log.insert(
    bed.log.commit(...all.map((i): Written => ({ op: "DELETE", table: "nodes", rowId: name(i) }))),
  );
  assert.deepEqual(await ids(bed, "nodes"), []);
  assert.deepEqual(await bed.problems(), {});
});

databaseTest("mariadb", "a row whose key references its own circle is looked after", async ({
  url,
}) => {
  await using bed = new Bed(url, {
    version: 1,
    tables: {
      users: {
        primaryKey: ["id"],
        columns: { id: "string", best: { type: "string", references: "profiles" } },
      },
      profiles: {
        primaryKey: ["id"],
        columns: { id: { type: "string", references: "users" }, n: "integer" },
      },
    },
  });
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    insert("users", "u1", { best: "u1" }),
    insert("profiles", "u1", { n: 1 }),
    insert("profiles", "u2", { n: 2 }),
  ));
  assert.deepEqual(await bed.problems(), { "profiles/u2": "parked" });
  await bed.adapter.ensureSchema(bed.log.schema);
  await bed.log.insert(bed.log.commit(
    { op: "DELETE", table: "users", rowId: "u1" },
    insert("users", "u2", { best: "u2" }),
  ));
  assert.deepEqual(await bed.problems(), { "profiles/u1": "parked" });
  assert.deepEqual(await ids(bed, "profiles"), ["u2"]);
});

databaseTest(
  "mariadb",
  "a consumer's own foreign key holds, and the row says so",
  async ({ url }) => {
    await using bed = new Bed(url, FAMILY);
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(insert("parents", "p1"), insert("parents", "p2")));
    await bed.rows(
      "CREATE TABLE mine (id int PRIMARY KEY, parent varchar(768), FOREIGN KEY (parent) " +
        "REFERENCES parents (id)) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
    );
    await bed.rows("INSERT INTO mine VALUES (1, 'p1')");
    await bed.log.insert(bed.log.commit(
      { op: "DELETE", table: "parents", rowId: "p1" },
      { op: "DELETE", table: "parents", rowId: "p2" },
    ));
    assert.deepEqual(await ids(bed, "parents"), ["p1"]);
    const [problem] = await bed.adapter.problems(9);
    assert.match(problem?.reason ?? "", /could not be taken from its table/);
    await bed.rows("DELETE FROM mine");
    await bed.log.insert(bed.log.commit({ op: "DELETE", table: "parents", rowId: "p1" }));
    assert.deepEqual(await ids(bed, "parents"), []);
    assert.deepEqual(await bed.problems(), {});
  },
);

databaseTest("mariadb", "a row that comes out of order is parked with what it references", async ({
  url,
}) => {
  await using bed = new Bed(url, FAMILY);
  await bed.log.begin();
  await bed.log.insert(
    bed.log.commit(insert("nodes", "old"), insert("nodes", "parent", { up: "old" })),
  );
  // Since a comes before b, what they and child reference is written last; by then parent has left.
  await bed.log.insert(bed.log.commit(
    insert("nodes", "a", { up: "b" }),
    insert("nodes", "b"),
    insert("nodes", "child", { up: "parent" }),
    { op: "DELETE", table: "nodes", rowId: "old" },
  ));
  assert.deepEqual(await bed.problems(), { "nodes/child": "parked", "nodes/parent": "parked" });
  assert.deepEqual(await ids(bed, "nodes"), ["a", "b"]);
  await bed.log.insert(bed.log.commit(insert("nodes", "old")));
  assert.deepEqual(await bed.problems(), {});
  assert.deepEqual(await ids(bed, "nodes"), ["a", "b", "child", "old", "parent"]);
});
