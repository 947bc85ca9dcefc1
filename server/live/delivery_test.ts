import { type PullResult, ZERO_HLC } from "@lakesync/core";
import assert from "node:assert/strict";
import { Delivery, type DeliveryPort } from "./delivery.ts";

function page(cursor: string, more: Partial<PullResult> = {}): PullResult {
  return {
    changes: [],
    cursor,
    complete: true,
    lastMutationId: 0,
    serverHlc: ZERO_HLC,
    ...more,
  };
}

const ROW = {
  shape: { op: "REMOVE", table: "todos", columns: [] },
  rowId: "t1",
  values: [],
} as const;

/** A delivery whose reads are answered by hand. */
class Bench {
  readonly reads: {
    cursor: string | undefined;
    answer: (page: PullResult) => Promise<void>;
    fail: (error: Error) => Promise<void>;
  }[] = [];
  readonly sent: string[] = [];
  readonly failures: unknown[] = [];
  settled: Promise<void> = Promise.resolve();
  turns = 0;
  turn: DeliveryPort["turn"] = () => {
    this.turns++;
    return () => this.turns--;
  };
  readonly delivery: Delivery;

  constructor() {
    const port: DeliveryPort = {
      turn: () => this.turn(),
      read: (cursor) => {
        const { promise, resolve, reject } = Promise.withResolvers<
          PullResult
        >();
        this.reads.push({
          cursor,
          answer: (result) => (resolve(result), turn()),
          fail: (error) => (reject(error), turn()),
        });
        return promise;
      },
      settled: () => this.settled,
      send: (result) => void this.sent.push(result.cursor),
      failed: (error) => void this.failures.push(error),
    };
    this.delivery = new Delivery(port);
  }

  /** The read that waits for an answer; the number of all reads is checked. */
  read(count: number) {
    assert.equal(this.reads.length, count, "reads");
    const last = this.reads.at(-1);
    assert.ok(last);
    return last;
  }
}

/** Lets everything run that can. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("Delivery sends the first page though it is empty", async () => {
  const bench = new Bench();
  bench.delivery.seek("c0");
  assert.equal(bench.read(1).cursor, "c0");
  await bench.read(1).answer(page("c1"));
  assert.deepEqual(bench.sent, ["c1"]);
});

Deno.test("Delivery sends nothing more until the ack, then one page for all since", async () => {
  const bench = new Bench();
  bench.delivery.seek(undefined);
  await bench.read(1).answer(page("c1", { changes: [ROW] }));
  for (let i = 0; i < 100; i++) bench.delivery.changed();
  await turn();
  bench.read(1);
  bench.delivery.acked("something else");
  bench.read(1);
  bench.delivery.acked("c1");
  assert.equal(bench.read(2).cursor, "c1");
  await bench.read(2).answer(page("c2", { changes: [ROW] }));
  assert.deepEqual(bench.sent, ["c1", "c2"]);
  bench.delivery.acked("c2");
  bench.read(2);
});

Deno.test("Delivery goes through the pages of a checkpoint, ack by ack", async () => {
  const bench = new Bench();
  bench.delivery.seek(undefined);
  await bench.read(1).answer(page("p1", { changes: [ROW], complete: false }));
  bench.read(1);
  bench.delivery.acked("p1");
  await bench.read(2).answer(page("p2", { changes: [ROW], complete: false }));
  bench.delivery.acked("p2");
  await bench.read(3).answer(page("p3"));
  assert.deepEqual(bench.sent, ["p1", "p2", "p3"]);
  bench.delivery.acked("p3");
  bench.read(3);
});

Deno.test("Delivery keeps quiet when nothing changed for this client, and tells an advance alone", async () => {
  const bench = new Bench();
  bench.delivery.seek(undefined);
  await bench.read(1).answer(page("c1"));
  bench.delivery.acked("c1");
  bench.delivery.changed();
  await bench.read(2).answer(page("c2"));
  assert.deepEqual(bench.sent, ["c1"]);
  bench.delivery.changed();
  assert.equal(bench.read(3).cursor, "c2");
  await bench.read(3).answer(page("c3", { lastMutationId: 4 }));
  assert.deepEqual(bench.sent, ["c1", "c3"]);
});

Deno.test("Delivery reads again when a commit came while it read", async () => {
  const bench = new Bench();
  bench.delivery.seek(undefined);
  await bench.read(1).answer(page("c1"));
  bench.delivery.acked("c1");
  bench.delivery.changed();
  bench.delivery.changed();
  await bench.read(2).answer(page("c2"));
  assert.equal(bench.read(3).cursor, "c2");
});

Deno.test("Delivery tells a page with newly consumed transactions after their outcomes", async () => {
  const bench = new Bench();
  const { promise, resolve } = Promise.withResolvers<void>();
  bench.settled = promise;
  bench.delivery.seek(undefined);
  await bench.read(1).answer(page("c1", { lastMutationId: 1 }));
  assert.deepEqual(bench.sent, []);
  resolve();
  await turn();
  assert.deepEqual(bench.sent, ["c1"]);
});

Deno.test("Delivery drops a page that was read before a seek", async () => {
  const bench = new Bench();
  bench.delivery.seek("c0");
  bench.delivery.seek("c9");
  await bench.read(1).answer(page("c1", { changes: [ROW] }));
  assert.deepEqual(bench.sent, []);
  assert.equal(bench.read(2).cursor, "c9");
  await bench.read(2).answer(page("c10"));
  assert.deepEqual(bench.sent, ["c10"]);
});

Deno.test("Delivery stops after a failure until a seek, and for good after stop", async () => {
  const bench = new Bench();
  bench.delivery.seek("c0");
  await bench.read(1).fail(new Error("lost"));
  assert.equal(bench.failures.length, 1);
  bench.delivery.changed();
  bench.read(1);
  bench.delivery.seek(undefined);
  bench.delivery.stop();
  await bench.read(2).answer(page("c1"));
  bench.delivery.changed();
  bench.read(2);
  assert.deepEqual(bench.sent, []);
});

Deno.test("Delivery reads when it has its turn, from where it stands then, and gives it back", async () => {
  const bench = new Bench();
  const { promise, resolve } = Promise.withResolvers<() => void>();
  bench.turn = () => promise;
  bench.delivery.seek("c0");
  bench.delivery.seek("c5");
  await turn();
  assert.equal(bench.reads.length, 0);
  let ends = 0;
  resolve(() => ends++);
  await turn();
  assert.equal(bench.read(1).cursor, "c5");
  await bench.read(1).answer(page("c6"));
  assert.deepEqual(bench.sent, ["c6"]);
  assert.equal(ends, 1);
});

Deno.test("Delivery gives its turn back when reading fails and when it has stopped", async () => {
  const bench = new Bench();
  bench.delivery.seek("c0");
  assert.equal(bench.turns, 1);
  await bench.read(1).fail(new Error("no"));
  assert.equal(bench.turns, 0);
  const { promise, resolve } = Promise.withResolvers<() => void>();
  bench.turn = () => promise;
  bench.delivery.seek("c0");
  bench.delivery.stop();
  resolve(() => bench.turns--);
  await turn();
  assert.equal(bench.turns, -1);
  assert.equal(bench.reads.length, 1);
});
