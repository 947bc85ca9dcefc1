import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import { BackedUpStores } from "../store/testing_backups.ts";
import { NOTES } from "./testing_checkpoint.ts";
import { CopiedRows, openRowsWorld, openWorldWith, type RowsWorld } from "./testing_rows.ts";

/** The number of `notes`. */
const TABLE = 1;

/** Lets a first pull begin by a checkpoint, and compares it with a plain one. */
async function bootstrap({ world }: RowsWorld, sub = "ann", version = 1): Promise<Set<string>> {
  const client = world.client(sub, 1_000, version);
  assert(await client.bootstrap());
  await client.pull();
  assert.deepEqual(client.table(), await world.expected(sub, version));
  return client.named;
}

Deno.test("a bucket comes from elsewhere, and of the store only what has moved is read", async () => {
  await using open = await openRowsWorld();
  const { world, source } = open;
  await world.fill("a", 1_000);
  await world.fill("b", 50);
  await source.copy();
  for (const sub of ["ann", "bob", "cyd"]) await world.join(sub, "a");
  await world.write(["UPDATE", "notes", "a-1", { title: "new" }], ["DELETE", "notes", "a-2"]);
  await world.write(["INSERT", "notes", "a-x", { list_id: "a" }]);
  await world.write(["UPDATE", "notes", "b-7", { list_id: "a" }]);
  await world.write(["UPDATE", "notes", "a-3", { list_id: "b" }]);
  const before = open.rowsRead();
  const clients = ["ann", "bob"].map((sub) => world.client(sub));
  await Promise.all(clients.map((client) => client.bootstrap()));
  for (const client of clients) await client.pull();
  const read = open.rowsRead() - before;
  assert(read < 40, `${read} rows`);
  // Both tables are there, and only one is in the bucket's family.
  assert.equal(source.reads, 1_050);
  for (const client of clients) {
    assert.deepEqual(client.table(), await world.expected("ann"));
    assert.equal(client.rows.size, 1_000);
    for (const row of ["a-2", "a-3", "b-1"]) assert(!client.named.has(`notes/${row}`), row);
  }
  const between = open.rowsRead();
  assert(await world.client("cyd").bootstrap());
  assert(open.rowsRead() - between < 15);
  assert.deepEqual(open.failures, []);
});

const WRONG: readonly (readonly [string, Parameters<CopiedRows["spoil"]>[1]])[] = [
  ["lacks a row", (row) => row.rowId === "a-4" ? [] : [row]],
  ["has a row too many", (row) => row.rowId === "a-4" ? [row, { ...row, rowId: "a-99" }] : [row]],
  ["has a row twice", (row) => row.rowId === "a-4" ? [row, row] : [row]],
  ["has another value", (row) =>
    row.rowId !== "a-4" ? [row] : [{
      ...row,
      cells: row.cells.map(([column, value]) => [column, value === "a 4" ? "a 5" : value]),
    }]],
  ["lacks a value", (row) => row.rowId !== "a-4" ? [row] : [{ ...row, cells: row.cells.slice(1) }]],
];

Deno.test("G7 G9: rows that are not what the gateway has are never sent, its own are", async () => {
  for (const [what, change] of WRONG) {
    await using open = await openRowsWorld();
    const { world, source } = open;
    await world.fill("a", 30);
    await world.join("ann", "a");
    await source.copy();
    source.spoil(TABLE, change);
    const named = await bootstrap(open);
    assert(!named.has("notes/a-99"), what);
    assert.equal(open.failures.length, 1, what);
    assert.match(open.failures[0] ?? "", /not the rows that the gateway has/, what);
    // The next one of the bucket does not try again for a while.
    await world.fill("a", 31);
    await source.copy();
    const { reads } = source;
    await bootstrap(open, "ann", 1);
    assert.equal(source.reads, reads, what);
  }
});

Deno.test("a source that fails, before or while it is read, is left alone for a while", async () => {
  await using open = await openRowsWorld({ staleShare: 0.2 });
  const { world, source } = open;
  await world.fill("a", 30);
  await world.fill("b", 30);
  await world.join("ann", "a");
  await world.join("bob", "b");
  await source.copy();
  let pages = 0;
  source.onPage = () => ++pages > 3 ? Promise.reject(new Error("It is gone")) : Promise.resolve();
  await bootstrap(open);
  assert.equal(open.failures.length, 1);
  assert.match(open.failures[0] ?? "", /were not taken.*It is gone/);
  const { open: find } = source;
  let asked = 0;
  source.open = () => {
    asked++;
    return Promise.reject(new Error("It is down"));
  };
  await bootstrap(open, "bob");
  await world.join("ann", "b");
  await world.fill("b", 60);
  await bootstrap(open, "ann");
  assert.equal(asked, 1);
  assert.match(open.failures[1] ?? "", /were not found.*It is down/);
  source.open = find;
  source.onPage = () => Promise.resolve();
  const before = source.reads;
  world.fixture.clock.ms += 11 * 60_000;
  await world.fill("c", 30);
  await source.copy();
  await world.join("cyd", "c");
  await bootstrap(open, "cyd");
  assert(source.reads > before);
  assert.equal(open.failures.length, 2);
});

Deno.test("G6: a source that does not answer holds no first pull up", async () => {
  const waits: number[] = [];
  const setTimer = (ms: number, callback: () => void) => {
    waits.push(ms);
    const timer = setTimeout(callback, 1);
    return () => clearTimeout(timer);
  };
  const open = await openWorldWith(
    (gateway) => new CopiedRows(gateway),
    {},
    memoryStores(),
    { setTimer },
  );
  await using _ = open;
  await open.world.fill("a", 30);
  await open.world.join("ann", "a");
  open.source.open = () => new Promise(() => {});
  waits.splice(0);
  await bootstrap(open);
  assert.equal(waits[0], 5_000);
  assert.match(open.failures.join(), /were not found.*not found in time/);
});

Deno.test("a source that is far behind is not read", async () => {
  await using open = await openRowsWorld({ staleShare: 0.2 });
  const { world, source } = open;
  await world.fill("a", 30);
  await source.copy();
  await world.join("ann", "a");
  // More than half of a fifth.
  for (let i = 0; i < 4; i++) await world.write(["UPDATE", "notes", `a-${i}`, { n: -i }]);
  await bootstrap(open);
  assert.equal(source.reads, 0);
  assert.deepEqual(open.failures, []);
});

Deno.test("a snapshot of which much has changed is replaced from elsewhere too", async () => {
  await using open = await openRowsWorld({ staleShare: 0.2 });
  const { world, source } = open;
  await world.fill("a", 30);
  await source.copy();
  await world.join("ann", "a");
  await bootstrap(open);
  assert.equal(source.reads, 30);
  for (let i = 0; i < 8; i++) await world.write(["UPDATE", "notes", `a-${i}`, { n: -i }]);
  await source.copy();
  await bootstrap(open);
  while (source.reads < 60) await new Promise((resolve) => setTimeout(resolve, 1));
  await bootstrap(open);
  assert.deepEqual(open.failures, []);
});

Deno.test("G7: a bucket that is younger than the rows is made of the gateway's own", async () => {
  await using open = await openRowsWorld({ staleShare: 100 });
  const { world, source } = open;
  await world.fill("a", 30);
  const buckets = [{
    name: "low",
    tables: ["notes"],
    filters: [{ column: "n", op: "lt", value: 10 }],
  }];
  await world.write(["UPDATE", "notes", "a-20", { n: 1 }]);
  await source.copy();
  await world.write(["UPDATE", "notes", "a-20", { n: 20 }]);
  await world.gateway.putRules(
    { buckets, write: [{ tables: ["*"], ops: ["INSERT", "UPDATE"] }] },
    5_000,
  );
  const named = await bootstrap(open);
  assert(!named.has("notes/a-20"));
  assert.equal(source.reads, 0);
  assert.deepEqual(open.failures, []);
});

Deno.test("G12: rows come under the names of every schema version", async () => {
  await using open = await openRowsWorld();
  const { world, source } = open;
  await world.fill("a", 30);
  await source.copy();
  const { title: _, ...columns } = NOTES.tables.notes.columns;
  await world.gateway.putSchema({
    version: 2,
    tables: {
      ...NOTES.tables,
      notes: {
        primaryKey: ["id"],
        columns: { ...columns, label: { type: "string", renamedFrom: "title" }, more: "string" },
      },
    },
  });
  await world.join("ann", "a");
  for (const version of [1, 2]) await bootstrap(open, "ann", version);
  assert.equal(source.reads, 60);
  assert.deepEqual(open.failures, []);
});

Deno.test("G13: rows of a history that was lost are not read, whatever seq they are of", async () => {
  const stores = new BackedUpStores();
  const source = new CopiedRows(() => {
    throw new Error("There is no gateway yet");
  });
  const start = () =>
    openWorldWith(
      (gateway) => {
        source.gateway = gateway;
        return source;
      },
      { staleShare: 100 },
      stores.open(),
    );
  let backup = stores.backup();
  {
    await using open = await start();
    await open.world.fill("a", 20);
    await open.world.fill("b", 20);
    await open.world.join("ann", "a");
    await open.world.join("bob", "b");
    backup = stores.backup();
    for (let i = 0; i < 5; i++) await open.world.write(["DELETE", "notes", `a-${i}`]);
    await source.copy();
  }
  stores.restore(backup);
  await using open = await start();
  const { world } = open;
  world.fixture.clock.ms += 1_000_000;
  // Until something is committed the head alone tells, and then the lives do.
  await bootstrap(open);
  assert.equal(source.reads, 0);
  for (let i = 10; i < 18; i++) await world.write(["UPDATE", "notes", `a-${i}`, { n: -i }]);
  await bootstrap(open, "bob");
  assert.equal(source.reads, 0);
  await world.fill("c", 10);
  await world.join("cyd", "c");
  await source.copy();
  await bootstrap(open, "cyd");
  assert(source.reads > 0);
  assert.deepEqual(open.failures, []);
});

Deno.test("a gateway that closes ends what is read elsewhere", async () => {
  await using open = await openRowsWorld();
  const { world, source } = open;
  await world.fill("a", 30);
  await world.join("ann", "a");
  await source.copy();
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  source.onPage = async () => {
    reached.resolve();
    await held.promise;
  };
  const stream = assert.rejects(world.client("ann").bootstrap(), /closing/);
  await reached.promise;
  const closing = world.fixture.gateways.close();
  await stream;
  held.resolve();
  await closing;
  assert.deepEqual(await world.keys(), []);
});
