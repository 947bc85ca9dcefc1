import assert from "node:assert/strict";
import { packOrder, packOutcome, unpackOrder, unpackOutcome } from "./packing.ts";
import type { ColumnBatch } from "./parquet.ts";
import { edgeBatch, valuesOfBatch } from "./testing_batches.ts";

/** The batch with each of its views in the middle of a buffer. */
function shifted(batch: ColumnBatch): ColumnBatch {
  const columns = batch.columns.map((column) => {
    const { validity, data } = column;
    const moved = validity && new Uint8Array([...Array(8).fill(255), ...validity]).subarray(8);
    if (data.kind !== "bytes") return { ...column, validity: moved };
    const offsets = new Int32Array([7, 7, ...data.offsets]).subarray(2);
    const bytes = new Uint8Array([1, 2, 3, ...data.bytes]).subarray(3);
    return { ...column, validity: moved, data: { ...data, offsets, bytes } };
  });
  return { ...batch, columns };
}

Deno.test("packOrder and unpackOrder leave a batch as it is, and name each buffer once", () => {
  const batch = shifted(edgeBatch(20));
  const expected = valuesOfBatch(batch);
  const options = { metadata: new Map([["a", "b"]]), rowGroupRows: 7 };
  const { message, transfer } = packOrder({ kind: "write", batch, options });
  assert.equal(new Set(transfer).size, transfer.length);
  const order = unpackOrder(structuredClone(message, { transfer }));
  assert.ok(order.kind === "write");
  assert.deepStrictEqual(order.options, options);
  assert.deepStrictEqual(valuesOfBatch(order.batch), expected);
  assert.equal(batch.columns[1]?.data.kind === "int32" && batch.columns[1].data.values.length, 0);
});

Deno.test("packOrder copies the part of a buffer that a file is, and leaves it there", () => {
  const bytes = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  const { message, transfer } = packOrder({ kind: "read", bytes, fields: [] });
  assert.deepStrictEqual(transfer.map(({ byteLength }) => byteLength), [2]);
  const order = unpackOrder(structuredClone(message, { transfer }));
  assert.ok(order.kind === "read");
  assert.deepStrictEqual([...order.bytes], [2, 3]);
  assert.deepStrictEqual([...bytes], [2, 3]);
});

Deno.test("packOutcome and unpackOutcome leave files, batches and problems as they are", () => {
  const batch = shifted(edgeBatch(5));
  const values = valuesOfBatch(batch);
  const bytes = new Uint8Array([9, 1, 2]).subarray(1);
  const metrics = [{ fieldId: 1, values: 2, nulls: 1, lower: undefined, upper: Uint8Array.of(7) }];
  const outcome = { file: { bytes, rows: 2, metrics }, batch, problem: "none", heldBytes: 5 };
  const { message, transfer } = packOutcome(outcome);
  const back = unpackOutcome(structuredClone(message, { transfer }));
  assert.deepStrictEqual(back.file, { bytes: Uint8Array.of(1, 2), rows: 2, metrics });
  assert.deepStrictEqual(back.batch && valuesOfBatch(back.batch), values);
  assert.deepStrictEqual([back.problem, back.heldBytes], ["none", 5]);
});
