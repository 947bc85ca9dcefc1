import type { ColumnBatch } from "@lakesync/adapters/lake/parquet";
import assert from "node:assert/strict";
import { LakeThreads } from "./lake_threads.ts";

function batch(): ColumnBatch {
  const values = Int32Array.of(1, 2);
  return {
    fields: [{ id: 1, name: "n", type: "int", required: true }],
    length: 2,
    columns: [{
      type: "int",
      length: 2,
      nulls: 0,
      validity: undefined,
      data: { kind: "int32", values },
    }],
  };
}

Deno.test("LakeThreads keeps its threads while some lake has them, and ends them then", async () => {
  const threads = new LakeThreads();
  const [one, other] = [threads.lend(), threads.lend()];
  const metadata = new Map<string, string>();
  const { bytes } = await one.writer.write(batch(), { metadata });
  await one.writer.close();
  await one.close();
  await one.close();
  const { length } = await other.reader.read(bytes, batch().fields);
  assert.equal(length, 2);
  assert.equal((await other.writer.write(batch(), { metadata })).rows, 2);
  await other.close();
  await assert.rejects(other.writer.write(batch(), { metadata }), /closed/);
  const again = threads.lend();
  assert.equal((await again.writer.write(batch(), { metadata })).rows, 2);
  await again.close();
});
