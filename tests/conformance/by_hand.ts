/**
 * What people do to the tables of a database by hand, and what a destination makes of it: nothing is
 * stuck, and nothing goes to a table that is not meant.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type DatabaseAdapter, DestinationError } from "@lakesync/adapters";
import type { SchemaSpec } from "@lakesync/core";
import { databaseTest, type Product } from "../servers/tests.ts";
import { numbered, type TestLog } from "./testing_log.ts";

interface Bed extends AsyncDisposable {
  readonly adapter: DatabaseAdapter;
  readonly log: TestLog;
  rows(statement: string): Promise<Record<string, unknown>[]>;
  problems(): Promise<Record<string, string>>;
}

const NOTES: SchemaSpec = {
  version: 1,
  tables: {
    notes: { primaryKey: ["id"], columns: { id: "string", text: "string" } },
    memos: { primaryKey: ["id"], columns: { id: "string", text: "string" } },
  },
};

const FAMILY: SchemaSpec = {
  version: 1,
  tables: {
    parents: { primaryKey: ["id"], columns: { id: "string" } },
    children: {
      primaryKey: ["id"],
      columns: { id: "string", parent: { type: "string", references: "parents" } },
    },
  },
};

/**
 * Registers the tests for one database.
 *
 * @param product which
 * @param open opens an adapter and a connection beside it
 */
export function testByHand(product: Product, open: (url: string, spec: SchemaSpec) => Bed): void {
  databaseTest(product, "the schema takes the names of columns that were renamed", async (test) => {
    await using bed = open(test.url, NOTES);
    await bed.log.begin();
    await bed.rows("ALTER TABLE notes RENAME COLUMN props TO mine");
    await bed.rows("ALTER TABLE notes RENAME COLUMN synced_at TO since");
    bed.log.schema = numbered({
      version: 2,
      tables: {
        notes: {
          primaryKey: ["id"],
          columns: { id: "string", text: "string", props: "string", synced_at: "string" },
        },
      },
    });
    await bed.adapter.ensureSchema(bed.log.schema);
    const cells = { text: "a", props: "b", synced_at: "c" };
    await bed.log.insert(bed.log.commit({ op: "INSERT", table: "notes", rowId: "n1", cells }));
    const [row] = await bed.rows("SELECT text, props, synced_at, since FROM notes");
    assert.deepEqual(row, { ...cells, since: null });
  });

  databaseTest(product, "props and synced_at are made again", async ({ url }) => {
    await using bed = open(url, NOTES);
    await bed.log.begin();
    await bed.rows("ALTER TABLE notes DROP COLUMN synced_at");
    await bed.rows("ALTER TABLE notes DROP COLUMN props");
    const changes = bed.log.commit({ op: "INSERT", table: "notes", rowId: "n1" });
    await assert.rejects(bed.log.insert(changes), DestinationError);
    await bed.adapter.ensureSchema(bed.log.schema);
    await bed.log.insert(changes);
    const rows = await bed.rows(
      "SELECT id FROM notes WHERE synced_at IS NOT NULL AND props IS NOT NULL",
    );
    assert.deepEqual(rows, [{ id: "n1" }]);
  });

  databaseTest(product, "a table may have the name of one that was dropped", async ({ url }) => {
    await using bed = open(url, NOTES);
    await bed.log.begin();
    const table = { primaryKey: ["id"], columns: { id: "string", text: "string" } } as const;
    await bed.adapter.ensureSchema(numbered({ version: 2, tables: { notes: table } }));
    await bed.rows("DROP TABLE memos");
    bed.log.schema = numbered(
      { version: 3, tables: { memos: table } },
      new Map([["memos", { id: 1, columns: [1, 2] }]]),
    );
    await bed.adapter.ensureSchema(bed.log.schema);
    await bed.adapter.ensureSchema(bed.log.schema);
    await bed.log.insert(bed.log.commit({ op: "INSERT", table: "memos", rowId: "m1" }));
    assert.deepEqual(await bed.rows("SELECT id FROM memos"), [{ id: "m1" }]);
    assert.deepEqual(await bed.rows("SELECT id, name FROM lakesync_tables WHERE id > 0"), [
      { id: 1, name: "memos" },
    ]);
  });

  for (const renamed of ["children", "parents"]) {
    const name = `foreign keys leave the table ${renamed} that was renamed`;
    databaseTest(product, name, async ({ url }) => {
      await using bed = open(url, FAMILY);
      await bed.log.begin();
      const child = (rowId: string, parent: string) =>
        ({ op: "INSERT", table: "children", rowId, cells: { parent } }) as const;
      const parent = { op: "INSERT", table: "parents" } as const;
      await bed.log.insert(bed.log.commit({ ...parent, rowId: "p1" }, child("c1", "p1")));
      await bed.rows(`ALTER TABLE ${renamed} RENAME TO renamed`);
      await bed.adapter.ensureSchema(bed.log.schema);
      await bed.log.insert(bed.log.commit({ ...parent, rowId: "p2" }, child("c2", "p2")));
      await bed.log.insert(bed.log.commit({ op: "DELETE", table: "parents", rowId: "p1" }));
      assert.deepEqual(await bed.problems(), { "children/c1": "parked" });
      assert.deepEqual(await bed.rows("SELECT id, parent FROM children"), [
        { id: "c2", parent: "p2" },
      ]);
    });
  }
}
