import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Value } from "@lakesync/core";
import { columnBuilder } from "../columns/mod.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { openParquetWriter } from "../parquet/mod.ts";
import { Duck } from "./duck.ts";
import { relationSql } from "./relation.ts";

const field = (id: number, name: string, type: LakeField["type"]): LakeField => ({
  ...{ id, name, type, required: false },
});

async function write(
  path: string,
  fields: readonly LakeField[],
  rows: readonly (readonly Value[])[],
): Promise<void> {
  const writer = openParquetWriter({ thread: false });
  const columns = fields.map(({ type }, i) => {
    const builder = columnBuilder(type);
    for (const row of rows) assert.equal(builder.append(row[i] ?? null), undefined);
    return builder.finish();
  });
  const { bytes } = await writer.write({ fields, length: rows.length, columns }, {
    metadata: new Map(),
  });
  await writer.close();
  await writeFile(path, bytes);
}

Deno.test("relationSql reads columns by their ids, renamed, added, widened, whatever they are called", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ memoryBytes: 256 * 2 ** 20 });
  const [old, young, gone] = ["old'.parquet", "young.parquet", "gone"]
    .map((name) => join(folder, name));
  assert.ok(old !== undefined && young !== undefined && gone !== undefined);
  try {
    await write(
      old,
      [field(1, "a", "int"), field(2, "b", "decimal(6, 2)"), field(9, "dropped", "string")],
      [[1, "1.50", "x"], [-(2 ** 31), null, "y"], [3, "-9999.99", "z"], [4, "0.00", "w"]],
    );
    const now = [
      field(1, "filename", "long"),
      field(3, "file_row_number", "string"),
      field(2, 'it"s', "decimal(20, 2)"),
    ];
    await write(young, now, [[2 ** 40, "new", "123456789012345678.90"]]);
    await write(gone, [
      field(2_147_483_546, "file_path", "string"),
      field(2_147_483_545, "pos", "long"),
    ], [["s3://lake/old", 0], ["s3://lake/old", 2], ["s3://lake/other", 1]]);
    const whole = { path: young, location: "s3://lake/young", deletes: [] };
    const torn = { path: old, location: "s3://lake/old", deletes: [gone] };
    const rows = (files: Parameters<typeof relationSql>[1]) =>
      duck.rows(`FROM (${relationSql(now, files)}) ORDER BY 1`);
    const added = [2 ** 40, "new", "123456789012345678.90", 0];
    assert.deepEqual(await rows([whole, { ...torn, deletes: [] }]), [
      [-(2 ** 31), null, null, 1],
      [1, null, "1.50", 0],
      [3, null, "-9999.99", 2],
      [4, null, "0.00", 3],
      added,
    ]);
    assert.deepEqual(await rows([torn, whole]), [
      [-(2 ** 31), null, null, 1],
      [4, null, "0.00", 3],
      added,
    ]);
    assert.deepEqual(await rows([{ ...whole, deletes: [gone] }]), [added]);
    const empty = { path: young, location: "s3://lake/old", deletes: [gone] };
    assert.deepEqual(await rows([empty]), []);
    assert.deepEqual(await rows([]), []);
  } finally {
    duck.close();
    await rm(folder, { recursive: true });
  }
});
