import assert from "node:assert/strict";
import fc from "fast-check";
import { AvroError, type AvroSchema, decodeAvro, encodeAvro, type FieldNames } from "./avro.ts";

const schema: AvroSchema = {
  type: "record",
  name: "row",
  fields: [
    { name: "n.ame-1", type: ["null", "string"], default: null, "field-id": 7 },
    { name: "id", type: "long", "field-id": 8 },
    { name: "count", type: "long", "field-id": 9 },
    {
      name: "part",
      "field-id": 10,
      type: {
        type: "record",
        name: "part",
        fields: [{
          name: "p",
          type: ["null", { type: "long", logicalType: "timestamp-micros" }],
          default: null,
          "field-id": 11,
        }],
      },
    },
  ],
};
const names: FieldNames = {
  names: new Map([[7, "name"], [8, "id"], [9, "count"], [10, "part"]]),
  longs: new Set([8]),
  partition: 10,
};
/** Records are of classes of their own. */
const plain = <T>(value: T): T => structuredClone(value);

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const key = fc.string().filter((key) => key !== "__proto__");
const records = fc.array(fc.record({
  name: fc.option(fc.string({ unit: "grapheme" })),
  id: int64.map((id) => Number.isSafeInteger(Number(id)) ? Number(id) : id),
  count: fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
  part: fc.record({ _11: fc.option(int64) }, { noNullPrototype: true }),
}, { noNullPrototype: true }));

Deno.test("decodeAvro reads what encodeAvro writes, by ids and to the last digit", () => {
  fc.assert(fc.property(records, fc.dictionary(key, fc.string()), (records, head) => {
    const bytes = encodeAvro(schema, names, new Map(Object.entries(head)), records);
    const file = decodeAvro(bytes, names);
    assert.deepEqual(plain([...file.records]), records);
    assert.deepEqual(JSON.parse(file.metadata.get("avro.schema") ?? ""), schema);
    for (const [key, value] of Object.entries(head)) assert.equal(file.metadata.get(key), value);
  }));
});

Deno.test("encodeAvro cuts files into blocks, and decodeAvro reads them one by one", () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({
    name: `a rather long name, of which there are many: ${i}`,
    id: i,
    count: -1 - i,
    part: { _11: BigInt(i) },
  }));
  const bytes = encodeAvro(schema, names, new Map(), many);
  let i = 0;
  for (const record of decodeAvro(bytes, names).records) assert.deepEqual(plain(record), many[i++]);
  assert.equal(i, many.length);
  const { value } = decodeAvro(bytes.subarray(0, 200_000), names).records.next();
  assert.deepEqual(plain(value), many[0]);
});

Deno.test("decodeAvro rounds no long that nobody expects, and throws instead", () => {
  const wide: FieldNames = { ...names, longs: new Set([8, 9]) };
  const record = { name: null, id: 1, count: 2n ** 53n + 1n, part: { _11: null } };
  const bytes = encodeAvro(schema, wide, new Map(), [record]);
  assert.deepEqual(plain([...decodeAvro(bytes, wide).records]), [record]);
  assert.throws(() => [...decodeAvro(bytes, names).records], /precision/);
});

Deno.test("decodeAvro says what is no Avro file, and what is damaged", () => {
  const record = { name: "a", id: 1, count: 1, part: { _11: null } };
  const bytes = encodeAvro(schema, names, new Map(), [record]);
  assert.throws(() => decodeAvro(new Uint8Array(100), names), AvroError);
  const cut = bytes.slice(0, -1);
  assert.throws(() => [...decodeAvro(cut, names).records], AvroError);
  const unknown = encodeAvro(
    { ...schema, fields: [{ name: "a", type: "int", "field-id": 7 }] },
    {
      ...names,
    },
    new Map(),
    [],
  );
  assert.deepEqual([...decodeAvro(unknown, names).records], []);
  const nameless = { type: "record", name: "r", fields: [{ name: "a", type: "int" }] };
  assert.throws(() => encodeAvro(nameless, names, new Map(), []), /has no id/);
});
