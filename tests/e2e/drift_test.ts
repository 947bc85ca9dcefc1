/** Rows that were changed behind a client's back, with a real gateway process. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { statusOf, synced } from "./wait.ts";
import { World } from "./world.ts";

const SCHEMA = {
  version: 1,
  tables: {
    things: {
      primaryKey: ["id", "at"],
      columns: {
        id: "string",
        at: "integer",
        text: "string",
        big: "integer",
        real: "number",
        yes: "boolean",
        time: "timestamp",
        price: "decimal(10,2)",
        blob: "bytes",
        data: "json",
      },
    },
    marks: { primaryKey: ["id"], columns: { id: "integer", text: "string" } },
  },
} as const;

const WRITES = `
  INSERT INTO things VALUES ('a', 1, 'é😀', 9007199254740993, 0.1, 1,
    '2026-01-31T09:30:00.123456Z', '1.50', x'00ff', '{"b":[1,null,"x"],"a":2.5}');
  INSERT INTO things VALUES ('b', -5, '', -1, -1e300, 0, NULL, '0.00', x'', '"text"');
  INSERT INTO things (id, at) VALUES ('c', 9007199254740993);
  INSERT INTO marks VALUES (9007199254740993, 'x'), (2, NULL);
`;

for (const [way, environment] of [["sockets", {}], ["HTTP", { openSocket: undefined }]] as const) {
  Deno.test(`G9: client and gateway agree on every type's checksum, and drift is mended over ${way}`, async () => {
    await using world = await World.open(SCHEMA);
    const client = await world.client("one", { schema: SCHEMA, environment });
    for (const sql of WRITES.split(";\n").slice(0, -1)) await client.exec(sql);
    await synced(client);
    const tables = async () => [
      await client.query("SELECT * FROM things ORDER BY id"),
      await client.query("SELECT * FROM marks ORDER BY id"),
    ];
    const right = await tables();
    assert.deepEqual(await client.verify(), { buckets: 1, rows: 5, drifts: [] });
    const other = new DatabaseSync(world.file("one"));
    other.exec(`BEGIN IMMEDIATE; UPDATE _lakesync_clock SET applying = 1;
      UPDATE things SET text = 'drift', data = NULL, price = '7.00' WHERE id = 'a';
      UPDATE things SET real = 4 WHERE id = 'c';
      DELETE FROM marks WHERE id = 2; INSERT INTO marks VALUES (3, 'ghost');
      UPDATE _lakesync_clock SET applying = 0; COMMIT`);
    other.close();
    const found = await client.verify();
    assert.equal(found?.drifts[0]?.remedy, "repair");
    await statusOf(client, ({ repairs, lastError }) => repairs === 1 && lastError === undefined);
    assert.deepEqual(await tables(), right);
    assert.deepEqual((await client.verify())?.drifts, []);
  });
}
