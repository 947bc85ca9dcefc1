import assert from "node:assert/strict";
import { jsonLakeAdapter } from "@lakesync/adapters/lake";
import fc from "fast-check";
import {
  compositeAdapter,
  fanOutAdapter,
  memoryAdapter,
  type MemoryData,
} from "@lakesync/adapters";
import { CatalogError } from "../../adapters/lake/catalog/catalog.ts";
import { loadTables } from "../../adapters/lake/flush/tables.ts";
import { mergeLake } from "../../adapters/lake/table/merge_lake.ts";
import { seenRows } from "../../adapters/lake/table/testing_lake.ts";
import {
  foldedLake,
  lakeOver,
  lakeRows,
  PLACE,
  readingLake,
  ReadLake,
} from "../conformance/testing_lake.ts";
import { ReadJsonLake } from "../conformance/testing_json_lake.ts";
import { Bed, type Build } from "../conformance/testing_bed.ts";
import { numbered, TODOS } from "../conformance/testing_log.ts";
import { type Event, life } from "../conformance/testing_lives.ts";
import { FLUSH_KILLS } from "./support_flush_site.ts";

const lake: Build = ({ objects, env }) => lakeOver(objects, env.now);

const BAD = { lost: 0.015, answerLost: 0.015, late: 0.015 };

/** Holds what the objects have against the log: each change once, and rows that are as they are. */
async function check(bed: Bed): Promise<void> {
  await bed.check(new ReadLake(lakeOver(bed.objects), bed.objects));
  const ids = (await lakeRows(bed.objects))
    .flatMap((row) => row.kind === "change" ? [row.change.deltaId] : []);
  assert.equal(new Set(ids).size, ids.length, "no change is there twice");
  const { rows, written } = await foldedLake(bed.objects, undefined);
  const shown = ({ sorted }: MemoryData) =>
    sorted.map(({ key, isVisible, cells }) => [key, isVisible, cells]);
  assert.deepEqual(shown(written), shown(rows), "in the order in which they were written");
}

async function play(
  bed: Bed,
  events: readonly Event[],
  check: (bed: Bed) => Promise<void>,
  afterPass: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (const event of events) {
    if (event.kind === "commit") bed.commit(...event.slices);
    else if (event.kind === "pass") {
      await bed.pass(2 * event.ms);
      await afterPass();
    } else if (event.kind === "restore") bed.restore(event.by);
    else if (event.kind === "trim") bed.source.trim(bed.source.seq - event.keep);
    else bed.start();
  }
  await bed.heal();
  await check(bed);
  await bed.close();
}

Deno.test("G10: whatever fails and ends, a lake holds in the end what the log holds", async () => {
  await fc.assert(
    fc.asyncProperty(life, ([seed, events]) => play(new Bed(seed, lake, BAD), events, check)),
    { numRuns: 100 },
  );
});

/** The rows that a merge makes, and those that it is to make, without nulls. */
async function checkMerged(bed: Bed): Promise<void> {
  const merging = readingLake(bed.objects, PLACE);
  await mergeLake(merging);
  for (const { id } of bed.source.schema.tables) {
    const expected = bed.source.rowsNow.filter(({ key, isVisible }) =>
      key.table === id && isVisible
    )
      .map(({ key, cells }) =>
        [
          key.rowId,
          new Map(cells.flatMap(([number, value]) => value === null ? [] : [[number, value]])),
        ] as const
      );
    const isThere = (await loadTables(merging)).rows.has(id);
    const seen = isThere ? await seenRows(merging, id) : new Map();
    assert.deepEqual(seen, new Map(expected), "rows that were merged");
  }
}

Deno.test("G10: whatever fails and ends, and whenever it is merged, a lake has the log's rows in the end", async () => {
  await fc.assert(
    fc.asyncProperty(life, async ([seed, events]) => {
      const bed = new Bed(seed, lake, BAD);
      const mergeNow = async () => {
        // A flush may commit between the reading and the commit of a merge.
        await mergeLake(readingLake(bed.objects, PLACE)).catch((error: unknown) =>
          assert.ok(error instanceof CatalogError)
        );
      };
      await play(bed, events, async () => {
        await check(bed);
        await checkMerged(bed);
      }, mergeNow);
    }),
    { numRuns: 100 },
  );
});

const besideDatabase: Build = ({ database, objects, env }) =>
  compositeAdapter({
    routes: { lists: database("lists") },
    default: lakeOver(objects, env.now),
  });

Deno.test("G10: whatever fails and ends, a lake beside a database holds in the end what the log holds", async () => {
  const checkBoth = (bed: Bed) =>
    bed.check(compositeAdapter({
      routes: { lists: memoryAdapter("lists", bed.data.get("lists")) },
      default: new ReadLake(lakeOver(bed.objects), bed.objects),
    }));
  await fc.assert(
    fc.asyncProperty(
      life,
      ([seed, events]) => play(new Bed(seed, besideDatabase, BAD), events, checkBoth),
    ),
    { numRuns: 100 },
  );
});

const behindDatabase: Build = ({ database, objects, ...world }) =>
  fanOutAdapter({
    primary: database("primary"),
    secondaries: [lakeOver(objects, world.env.now)],
    ...world,
  });

Deno.test("G10: whatever fails and ends, a lake that follows a database holds in the end what that holds", async () => {
  await fc.assert(
    fc.asyncProperty(
      life,
      ([seed, events]) => play(new Bed(seed, behindDatabase, BAD), events, check),
    ),
    { numRuns: 100 },
  );
});

const json: Build = ({ objects, env }) =>
  jsonLakeAdapter({ store: objects, namespace: "main", now: env.now });

Deno.test("G10: whatever fails and ends, a lake of JSON holds in the end what the log holds", async () => {
  const odds = { lost: 0.05, answerLost: 0.05, late: 0.05 };
  await fc.assert(
    fc.asyncProperty(
      life,
      ([seed, events]) =>
        play(new Bed(seed, json, odds), events, (bed) => bed.check(new ReadJsonLake(bed.objects))),
    ),
    { numRuns: 200 },
  );
});

/** Another column, another table, and a column that widens. */
const WIDER = numbered({
  version: 2,
  tables: {
    ...TODOS.tables,
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", n: "number", due: "date" },
    },
    tags: { primaryKey: ["id"], columns: { id: "string" } },
  },
});

/** Claims, flushes, rewinds, settles, gets another schema, is filled: all that a lake does. */
async function script(bed: Bed): Promise<void> {
  const todo = (rowId: string, n: number) => ({ table: "todos", rowId, cells: { n } });
  const list = (rowId: string, n: number) => ({ table: "lists", rowId, cells: { name: `${n}` } });
  bed.commit([todo("r1", 1), list("r1", 1)]);
  await bed.pass(900);
  bed.commit([list("r2", 2), todo("r2", 2)]);
  bed.commit([todo("r1", 3)]);
  await bed.pass(900);
  bed.restore(1);
  bed.commit([list("r1", 4)], [todo("r3", 5), list("r3", 5)]);
  await bed.pass(1_500);
  bed.source.schema = WIDER;
  bed.commit([todo("r4", 6)]);
  await bed.pass(1_500);
  bed.commit([todo("r5", 7)]);
  bed.source.trim(bed.source.seq);
  await bed.pass(1_500);
}

/** Each call in the full run, by chance one of three else. */
const STEP = FLUSH_KILLS > 10 ? 1 : 3;

for (const hasArrived of [false, true]) {
  const when = hasArrived ? "after" : "before";
  Deno.test(`G10: the process that writes to a lake may end ${when} any call to its objects`, async () => {
    let call = 1 + Math.floor(Math.random() * STEP);
    for (let wasReached = true; wasReached; call += STEP) {
      const bed = new Bed(1, lake, { lost: 0, answerLost: 0 });
      bed.endAt = { call, hasArrived };
      await script(bed);
      wasReached = bed.calls >= call;
      bed.endAt = undefined;
      await bed.heal();
      await check(bed);
      await bed.close();
    }
    assert.ok(call > 100, `${call} calls`);
  });
}
