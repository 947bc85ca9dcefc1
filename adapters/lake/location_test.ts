import assert from "node:assert/strict";
import fc from "fast-check";
import { checkObjectKey } from "../object-store/object_store.ts";
import { folderOfName, lakeLocation, nameOfFolder, tableFolder } from "./location.ts";

Deno.test("lakeLocation names objects, and finds their keys again", () => {
  for (const root of ["file:///data/my lake", "s3://bucket", "s3://bucket/a/b", "s3://bucket/a/"]) {
    const lake = lakeLocation(root);
    assert.equal(lake.of("t/1.avro"), `${root.replace(/\/$/, "")}/t/1.avro`);
    assert.equal(lake.keyOf(lake.of("t/1.avro")), "t/1.avro");
    assert.equal(lake.keyOf(lake.root), undefined);
    assert.equal(lake.keyOf(`${lake.root}x/t`), undefined);
  }
  assert.equal(lakeLocation("file:/data").root, "file:///data");
  assert.equal(lakeLocation("file:///data").keyOf("file:/data/a"), "a");
  assert.equal(lakeLocation("s3://b/p").keyOf("s3a://b/p/a"), "a");
  for (const root of ["", "bucket", "/data", "s3://", "s3://b?x=y"]) {
    assert.throws(() => lakeLocation(root), TypeError, root);
  }
  assert.throws(() => lakeLocation("s3://b").of("../x"), TypeError);
});

Deno.test("folderOfName makes a part of a key of any name, another one of each", () => {
  const name = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.constantFrom(".", "..", "+2e", "@tables", "a/b", ".hidden", "todos__changes"),
  );
  fc.assert(fc.property(name, name, (a, b) => {
    assert.equal(checkObjectKey(folderOfName(a)), folderOfName(a));
    assert.ok(!/[@/]/.test(folderOfName(a)));
    assert.equal(nameOfFolder(folderOfName(a)), a);
    if (a !== b) assert.notEqual(folderOfName(a), folderOfName(b));
  }));
  assert.equal(tableFolder({ namespace: "gw", name: "to do" }), "gw/to+20do");
});
