import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  decodeClientFrame,
  decodeDeltas,
  decodeError,
  decodePull,
  decodePullResult,
  decodePush,
  decodePushResult,
  decodeServerFrame,
  encodeClientFrame,
  encodeDeltas,
  encodeError,
  encodePull,
  encodePullResult,
  encodePush,
  encodePushResult,
  encodeServerFrame,
} from "./binary.ts";
import { MAX_NESTED_MESSAGES } from "./budget.ts";
import { MAX_BUCKET_ID_LENGTH, MAX_REPAIR_BUCKETS, MAX_ROW_BUCKETS } from "./messages.ts";
import * as wire from "./gen/lakesync_pb.ts";
import { mutate, mutation, refuses, refusesOrReads } from "./testing_hostile.ts";
import * as messages from "./testing_messages.ts";

const MIB = 1024 * 1024;
interface Form {
  readonly name: string;
  readonly bytes: fc.Arbitrary<Uint8Array>;
  readonly decode: (bytes: Uint8Array) => unknown;
}

const FORMS: readonly Form[] = [
  {
    name: "decodePush",
    bytes: messages.push.map(encodePush),
    decode: decodePush,
  },
  {
    name: "decodePushResult",
    bytes: messages.pushResult.map(encodePushResult),
    decode: decodePushResult,
  },
  {
    name: "decodePull",
    bytes: messages.pull.map(encodePull),
    decode: decodePull,
  },
  {
    name: "decodePullResult",
    bytes: messages.pullResult.map(encodePullResult),
    decode: decodePullResult,
  },
  {
    name: "decodeError",
    bytes: messages.errorBody.map(encodeError),
    decode: decodeError,
  },
  {
    name: "decodeDeltas",
    bytes: messages.deltas.map(encodeDeltas),
    decode: decodeDeltas,
  },
  {
    name: "decodeClientFrame",
    bytes: messages.clientFrame.map(encodeClientFrame),
    decode: decodeClientFrame,
  },
  {
    name: "decodeServerFrame",
    bytes: messages.serverFrame.map(encodeServerFrame),
    decode: decodeServerFrame,
  },
];

for (const { name, bytes, decode } of FORMS) {
  Deno.test(`${name} refuses a message cut at any byte, or reads what is whole`, () => {
    fc.assert(
      fc.property(bytes, (whole) => {
        for (let end = 0; end < whole.length; end++) {
          refusesOrReads(() => decode(whole.subarray(0, end)));
        }
      }),
      { numRuns: 20 },
    );
  });

  Deno.test(`${name} refuses or reads a message that was changed at random`, () => {
    fc.assert(
      fc.property(bytes, mutation, (whole, edits) => {
        refusesOrReads(() => decode(mutate(whole, edits)));
      }),
      { numRuns: 2_000 },
    );
  });

  Deno.test(`${name} refuses or reads bytes at random`, () => {
    fc.assert(
      fc.property(fc.uint8Array(), (noise) => {
        refusesOrReads(() => decode(noise));
      }),
      { numRuns: 1_000 },
    );
  });
}

Deno.test("decodePush reads again what it made of a changed message", () => {
  let read = 0;
  fc.assert(
    fc.property(messages.push.map(encodePush), mutation, (whole, edits) => {
      refusesOrReads(() => {
        const changed = decodePush(mutate(whole, edits));
        const push = decodePush(encodePush(changed));
        assert.deepStrictEqual(decodePush(encodePush(push)), push);
        read++;
      });
    }),
    { numRuns: 2_000 },
  );
  assert.ok(read > 20, `only ${read} changed messages could be read`);
});

type RowsInit = Parameters<typeof create<typeof wire.RowsSchema>>[1];

/** A `Rows` message with one row of one text column, "r" and "v", and what is to be wrong. */
function rows(wrong: RowsInit): Uint8Array {
  return toBinary(
    wire.RowsSchema,
    create(wire.RowsSchema, {
      shapes: [{ op: wire.Op.UPDATE, table: "things", columns: ["name"] }],
      shape: [0],
      hlc: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1]),
      cells: new Uint8Array([1, 17]),
      text: new TextEncoder().encode("rv"),
      ...wrong,
    }),
  );
}

Deno.test("decodeDeltas says what is wrong with a damaged message", () => {
  assert.deepStrictEqual(decodeDeltas(rows({}))[0]?.values, ["v"]);
  const ff = (count: number) => new Uint8Array(count).fill(0xff);
  const cells = (...bytes: number[]) => ({ cells: new Uint8Array(bytes) });
  const text = (text: string) => ({ text: new TextEncoder().encode(text) });
  const shape = { op: wire.Op.UPDATE, table: "things" };
  const cases: readonly (readonly [RowsInit, RegExp])[] = [
    [{ hlc: ff(7) }, /hlc must hold eight bytes/],
    [{ hlc: ff(8) }, /hlc is out of range/],
    [{ deltaIds: ff(31) }, /delta_ids must hold 32 bytes/],
    [{ shape: [1] }, /names a shape that is not there/],
    [{ shape: [2 ** 32 - 1] }, /names a shape that is not there/],
    [{ shapes: [{ ...shape, op: wire.Op.PUT }] }, /op must be INSERT/],
    [{ shapes: [{ ...shape, op: wire.Op.UNSPECIFIED }] }, /op must be INSERT/],
    [{ shapes: [{ ...shape, columns: ["a", "a"] }] }, /names a column twice/],
    [
      { shapes: [{ ...shape, columns: Array(1_001).fill("a") }] },
      /too many columns/,
    ],
    [cells(), /cells end too early/],
    [cells(1), /cells end too early/],
    [cells(1, 17, 0), /left over/],
    [cells(1, 10), /unknown tag 10/],
    [cells(1, 3, 0xff), /cells end too early/],
    [cells(1, 3, ...ff(10)), /a number is too long/],
    [cells(1, 3, ...ff(7), 0x7f), /a number is too long/],
    [cells(1, 5, 0, 0), /cells end too early/],
    [cells(1, 6, 0, 0, 0, 0), /cells end too early/],
    [cells(1, 18), /text ends too early/],
    [cells(1, 7, ...ff(6), 1), /text ends too early/],
    [{ ...cells(1, 8, ...ff(6), 1), ...text("r") }, /blobs end too early/],
    [cells(0, 17), /left over/],
    [text("rvx"), /left over/],
    [{ blobs: ff(1) }, /left over/],
    [{ text: ff(2) }, /text is not UTF-8/],
    [{ text: new Uint8Array([0xed, 0xa0, 0x80]) }, /text is not UTF-8/],
    [{ ...cells(1, 17), ...text("é") }, /cut within a character/],
    [{ ...cells(2, 17), ...text("😀") }, /cut within a character/],
    [{ ...cells(1, 9, 1), ...text("r{") }, /JSON cell does not parse/],
    [{ ...cells(1, 9, 4), ...text("rnull") }, /JSON cell is not structured/],
    [{ ...cells(1, 9, 1), ...text("r5") }, /JSON cell is not structured/],
  ];
  for (const [wrong, message] of cases) {
    refuses(() => decodeDeltas(rows(wrong)), message);
  }
});

Deno.test("decodePush refuses numbers out of their range", () => {
  const transaction = (init: object) =>
    toBinary(
      wire.PushRequestSchema,
      create(wire.PushRequestSchema, {
        transactions: [{ mutationId: 1n, ...init }],
      }),
    );
  assert.equal(decodePush(transaction({})).transactions.length, 1);
  for (
    const [init, message] of [
      [{ mutationId: 0n }, /mutation_id must be from 1/],
      [{ mutationId: 2n ** 53n }, /mutation_id is too large/],
      [{ mutationId: 2n ** 64n - 1n }, /mutation_id is too large/],
      [{ chain: new Uint8Array(31) }, /chain must be 32 bytes/],
      [{ part: 2, parts: 1 }, /part must be from 1 to parts/],
      [{ part: 1 }, /part must be from 1 to parts/],
      [{ parts: 3 }, /part must be from 1 to parts/],
    ] as const
  ) {
    refuses(() => decodePush(transaction(init)), message);
  }
});

Deno.test("G11: pulls and hellos ask for a bounded number of buckets by ids of bounded length", () => {
  const ids = (count: number, length: number) =>
    Array.from({ length: count }, () => "a".repeat(length));
  for (
    const [repair, message] of [
      [ids(MAX_REPAIR_BUCKETS, MAX_BUCKET_ID_LENGTH), undefined],
      [ids(MAX_REPAIR_BUCKETS + 1, 1), /too many buckets/],
      [ids(1, MAX_BUCKET_ID_LENGTH + 1), /id of a bucket is too long/],
    ] as const
  ) {
    const pull = encodePull({ clientId: "a", repair });
    const hello = encodeClientFrame({
      type: "hello",
      hello: { clientId: "a", schemaVersion: 1, repair },
    });
    if (message !== undefined) {
      refuses(() => decodePull(pull), message);
      refuses(() => decodeClientFrame(hello), message);
    } else assert.deepStrictEqual(decodePull(pull).repair, repair);
  }
});

Deno.test("G11: decodePullResult refuses buckets and shapes beyond their bounds", () => {
  const page = (init: Parameters<typeof create<typeof wire.PullResultSchema>>[1]) =>
    toBinary(
      wire.PullResultSchema,
      create(wire.PullResultSchema, { serverHlc: 1n, ...init }),
    );
  const bucket = (init: Parameters<typeof create<typeof wire.BucketSchema>>[1]) =>
    page({ checkpoint: { seq: 1n, buckets: [create(wire.BucketSchema, init)] } });
  const shape = (init: Parameters<typeof create<typeof wire.ShapeSchema>>[1]) =>
    page({
      changes: { shapes: [create(wire.ShapeSchema, { op: wire.Op.PUT, table: "t", ...init })] },
    });
  assert.deepStrictEqual(decodePullResult(bucket({ id: "b" })).checkpoint?.buckets, [
    { id: "b", rows: 0 },
  ]);
  const names = Array.from({ length: 1_001 }, (_, i) => `c${i}`);
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [bucket({ id: "a".repeat(MAX_BUCKET_ID_LENGTH + 1) }), /id of a bucket is too long/],
    [bucket({ rows: 2n ** 53n }), /rows is too large/],
    [bucket({ columns: [{ table: "t", columns: names }] }), /bucket has too many columns/],
    [bucket({ columns: [{ table: "t", columns: ["a", "a"] }] }), /bucket names a column twice/],
    [shape({ unset: names }), /shape has too many columns/],
    [shape({ unset: ["a", "a"] }), /shape names a column twice/],
    [shape({ columns: ["a"], unset: ["a"] }), /shape names a column twice/],
    [shape({ buckets: Array(MAX_ROW_BUCKETS + 1).fill(0) }), /shape has too many buckets/],
  ];
  for (const [bytes, message] of cases) refuses(() => decodePullResult(bytes), message);
});

Deno.test("G12: a bucket of the first version reads as before", () => {
  const bytes = new Uint8Array([0x0a, 1, 0x62, 0x10, 3, 0x1d, 7, 0, 0, 0]);
  const page = new Uint8Array([0x29, 1, 0, 0, 0, 0, 0, 0, 0, 0x32, 12, 0x12, 10, ...bytes]);
  assert.deepStrictEqual(decodePullResult(page).checkpoint?.buckets, [
    { id: "b", rows: 3, checksum: 7 },
  ]);
});

Deno.test("decodeClientFrame and decodeServerFrame refuse frames that are empty or of an unknown kind", () => {
  for (const decode of [decodeClientFrame, decodeServerFrame]) {
    refuses(() => decode(new Uint8Array()), /empty or of an unknown kind/);
    refuses(() => decode(new Uint8Array([0x7a, 0])), /empty or of an unknown/);
  }
});

Deno.test("decodePush refuses lengths that the body does not have, at once", () => {
  const length = [0xff, 0xff, 0xff, 0xff, 0x07];
  for (const field of [0x0a, 0x1a, 0x7a]) {
    const body = new Uint8Array([field, ...length, 0]);
    refuses(() => decodePush(body));
    refuses(() => decodeClientFrame(new Uint8Array([0x12, 8, ...body])));
  }
});

function repeated(bytes: readonly number[], size: number): Uint8Array {
  const body = new Uint8Array(size - size % bytes.length);
  for (let i = 0; i < body.length; i++) body[i] = bytes[i % bytes.length] ?? 0;
  return body;
}

Deno.test("G11: decodePush refuses 16 MiB of empty messages without the memory they would take", () => {
  for (const bytes of [[0x1a, 0], [0x1a, 2, 0x12, 0]]) {
    const body = repeated(bytes, 16 * MIB);
    const before = Deno.memoryUsage().heapTotal;
    refuses(
      () => decodePush(body),
      new RegExp(`more than ${MAX_NESTED_MESSAGES} nested`),
    );
    const grown = Deno.memoryUsage().heapTotal - before;
    assert.ok(grown < 64 * MIB, `the heap grew by ${grown} bytes`);
  }
});

Deno.test("G11: decodePush does not keep unknown fields", () => {
  const body = repeated([0x78, 1], 8 * MIB);
  assert.deepStrictEqual(decodePush(body).transactions, []);
});

Deno.test("G11: decodePush refuses groups nested without end, without a stack overflow", () => {
  refuses(() => decodePush(repeated([0x7b], MIB)));
});

Deno.test("G11: decodePush takes a push at its limits: 10,000 deltas, each with a shape of its own", () => {
  const deltas = Array.from({ length: 10_000 }, (_, i) => ({
    shape: { op: "DELETE", table: "things", columns: [] } as const,
    rowId: String(i),
    hlc: undefined,
    values: [],
    deltaId: undefined,
  }));
  const push = {
    clientId: "a",
    schemaVersion: 1,
    transactions: [{ mutationId: 1, deltas }],
  };
  assert.deepStrictEqual(decodePush(encodePush(push)), push);
});
