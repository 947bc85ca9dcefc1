import assert from "node:assert/strict";
import {
  DestinationError,
  type FlushBatch,
  type FlushPosition,
  memoryObjects,
} from "@lakesync/adapters";
import { jsonLakeAdapter } from "@lakesync/adapters/lake";
import { adapterConformance } from "./suite.ts";
import { readEnvelopes, ReadJsonLake } from "./testing_json_lake.ts";

adapterConformance("lake of JSON", () => {
  const store = memoryObjects();
  let adapter: ReadJsonLake = new ReadJsonLake(store);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = new ReadJsonLake(store);
    },
    close: () => adapter.close(),
  });
}, { runs: 0 });

Deno.test("lake of JSON: G10: of two processes at one position one writes, and the other is told", async () => {
  const store = memoryObjects();
  const open = () => jsonLakeAdapter({ store, namespace: "main" });
  const [one, other] = [open(), open()];
  const to = (writer: string, seq: number): FlushPosition => ({
    seq,
    lives: [{ id: "life", fromSeq: 0 }],
    writer,
  });
  const batch = (from: FlushPosition | undefined, to: FlushPosition): FlushBatch => ({
    ...{ from, to, rows: [], changes: [], isWhole: true },
  });
  await one.insertDeltas(batch(undefined, to("a", 0)));
  assert.deepEqual(await other.position(), to("a", 0));
  await one.insertDeltas(batch(to("a", 0), to("a", 1)));
  await assert.rejects(
    other.insertDeltas(batch(to("a", 0), to("b", 0))),
    (error) => error instanceof DestinationError && error.retry === "now",
  );
  assert.deepEqual(await other.position(), to("a", 1));
  const seqs = (await readEnvelopes(store)).map(({ position }) => position.seq);
  assert.deepEqual(seqs, [0, 1]);
  await Promise.all([one.close(), other.close()]);
});
