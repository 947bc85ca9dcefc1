/**
 * Hostile bytes: messages that were edited, cut and spliced, protobuf fields at random with lengths
 * that lie, and noise.
 *
 * @module
 */

import fc from "fast-check";
import { mutate, mutation } from "../../core/protocol/testing_hostile.ts";

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

const LENGTHS = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];

/** Numbers on the wire, those that no reader can count to too. */
const number = fc.oneof(
  fc.nat(300).map(varint),
  fc.constantFrom(...LENGTHS).map(varint),
  fc.constant(new Array<number>(10).fill(0xff)),
  fc.constant([...new Array<number>(9).fill(0xff), 1]),
);

/** One field, of any number and wire type; what is within may be fields again. */
const { fields } = fc.letrec<{ field: number[]; fields: number[] }>((tie) => ({
  fields: fc.array(tie("field"), { maxLength: 5 }).map((all) => all.flat()),
  field: fc.oneof(
    { depthSize: "small" },
    fc.tuple(fc.integer({ min: 1, max: 12 }), number).map(([no, n]) => [no << 3, ...n]),
    fc.tuple(fc.integer({ min: 1, max: 12 }), fc.uint8Array({ minLength: 8, maxLength: 8 }))
      .map(([no, eight]) => [no << 3 | 1, ...eight]),
    fc.tuple(fc.integer({ min: 1, max: 12 }), fc.uint8Array({ minLength: 4, maxLength: 4 }))
      .map(([no, four]) => [no << 3 | 5, ...four]),
    fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(3, 4, 6, 7))
      .map(([no, type]) => [no << 3 | type]),
    fc.tuple(fc.integer({ min: 1, max: 12 }), number, fc.uint8Array())
      .map(([no, length, content]) => [no << 3 | 2, ...length, ...content]),
    fc.tuple(fc.integer({ min: 1, max: 12 }), tie("fields"))
      .map(([no, content]) => [no << 3 | 2, ...varint(content.length), ...content]),
  ),
}));

/**
 * Bytes that are nearly a message.
 *
 * @param whole messages as they are written
 */
export function hostileBytes(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(whole, mutation).map(([bytes, edits]) => mutate(bytes, edits)),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(whole, whole, fc.nat(), fc.nat()).map(([a, b, x, y]) =>
        new Uint8Array([...a.subarray(0, x % (a.length + 1)), ...b.subarray(y % (b.length + 1))])
      ),
    },
    { weight: 2, arbitrary: fields.map((bytes) => new Uint8Array(bytes)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}
