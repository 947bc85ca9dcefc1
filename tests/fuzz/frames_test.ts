/** The stream of a checkpoint, cursors and log entries: bytes that come from outside or from disk. */

import { type JsonValue, LakeSyncError } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DamagedStreamError, readFrames, type StreamFrame } from "../../client/transport/frames.ts";
import * as messages from "../../core/protocol/testing_messages.ts";
import { mutate, mutation } from "../../core/protocol/testing_hostile.ts";
import { type Cursor, NO_CURSOR, readCursor, writeCursor } from "../../server/gateway/cursor.ts";
import { CursorSeal } from "../../server/gateway/cursor_seal.ts";
import {
  logVersion,
  type Outcome,
  readLogPayload,
  writeLogPayload,
} from "../../server/gateway/log.ts";
import { hostileBytes } from "./bytes.ts";
import { readHostile } from "./hostile.ts";
import { law } from "./law.ts";

const MIB = 1024 * 1024;

function frame(kind: number, payload: Uint8Array, length = payload.length): number[] {
  const prefix = new Uint8Array(5);
  new DataView(prefix.buffer).setUint32(0, length);
  prefix[4] = kind;
  return [...prefix, ...payload];
}

function jsonFrame(kind: number, value: unknown): number[] {
  return frame(kind, new TextEncoder().encode(JSON.stringify(value)));
}

const chunk = fc.tuple(fc.nat(2 ** 32 - 1), fc.uint8Array()).map(([place, bytes]) => {
  const payload = new Uint8Array(4 + bytes.length);
  new DataView(payload.buffer).setUint32(0, place);
  payload.set(bytes, 4);
  return { kind: "chunk" as const, place, bytes, written: frame(2, payload) };
});

/** Streams as a gateway writes them, with what they say. */
const stream = fc.record({
  etag: fc.string(),
  totalRows: fc.nat(),
  buckets: fc.nat(5),
  chunks: fc.array(chunk, { maxLength: 4 }),
  cursor: fc.option(fc.string(), { nil: undefined }),
}).map(({ etag, totalRows, buckets, chunks, cursor }) => {
  const header = { etag, totalRows, buckets };
  const says: StreamFrame[] = [
    { kind: "header", header },
    ...chunks.map(({ kind, place, bytes }) => ({ kind, place, bytes })),
    { kind: "end", cursor },
  ];
  const list = Array.from({ length: buckets }, (_, i) => ({ id: `b${i}` }));
  const bytes = new Uint8Array([
    ...jsonFrame(1, { ...header, buckets: list }),
    ...chunks.flatMap(({ written }) => written),
    ...jsonFrame(3, { cursor }),
  ]);
  return { says, bytes };
});

/** Reads a stream that comes in pieces of so many bytes. */
async function framesOf(bytes: Uint8Array, piece: number): Promise<StreamFrame[]> {
  let at = 0;
  const read = () => {
    const part = bytes.subarray(at, at + piece);
    at += piece;
    return Promise.resolve(part.length === 0 ? undefined : part);
  };
  const frames: StreamFrame[] = [];
  for await (const frame of readFrames(read)) frames.push(frame);
  return frames;
}

law("readFrames reads a stream however it is cut into pieces", {
  inputs: fc.tuple(stream, fc.integer({ min: 1, max: 200 })),
  runs: 300,
  holds: async ([{ says, bytes }, piece]) => {
    assert.deepEqual(await framesOf(bytes, piece), says);
  },
});

law(
  "G11: readFrames reads any bytes or ends with DamagedStreamError, and takes no more memory than it was sent",
  {
    inputs: fc.tuple(
      hostileBytes(stream.map(({ bytes }) => bytes)),
      fc.integer({ min: 1, max: 200 }),
    ),
    runs: 1_500,
    examples: [[new Uint8Array(frame(1, new Uint8Array(), 32 * MIB)), 5]],
    holds: async ([bytes, piece]) => {
      const before = Deno.memoryUsage().external;
      try {
        const frames = await framesOf(bytes, piece);
        assert.equal(frames[0]?.kind, "header");
        assert.equal(frames.at(-1)?.kind, "end");
      } catch (error) {
        if (!(error instanceof DamagedStreamError)) throw error;
      }
      const grown = Deno.memoryUsage().external - before;
      assert.ok(grown < 8 * MIB, `${grown} bytes for a stream of ${bytes.length}`);
    },
  },
);

const seq = fc.maxSafeNat();
const residual = fc.array(fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<JsonValue>, {
  maxLength: 2,
})
  .map((list): JsonValue[] => JSON.parse(JSON.stringify(list)));
const buckets = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 5 })
  .map((list) => list.sort((a, b) => a - b));

const held = fc.tuple(buckets, fc.array(fc.tuple(seq, residual), { minLength: 5, maxLength: 5 }))
  .map(([numbers, states]) =>
    numbers.map((bucket, i) => ({
      bucket,
      base: states[i]?.[0] ?? 0,
      residual: states[i]?.[1] ?? [],
    }))
  );

const scan = fc.record({
  bucket: fc.integer({ min: 1, max: 2 ** 40 }),
  granted: fc.boolean(),
  repair: fc.boolean(),
  page: fc.nat(2 ** 20),
  since: seq,
  sentFrom: fc.oneof(seq, fc.constant(-1)),
  memberAfter: seq,
  goneAfter: seq,
  residual,
  snapshotSeq: seq,
  unsent: fc.array(seq, { minLength: 1, maxLength: 3 }),
  past: fc.array(fc.tuple(seq, residual), { minLength: 1, maxLength: 2 }),
}, {
  requiredKeys: [
    "bucket",
    "granted",
    "repair",
    "page",
    "since",
    "sentFrom",
    "memberAfter",
    "goneAfter",
    "residual",
  ],
  noNullPrototype: true,
});

const paging = fc.tuple(
  fc.record({
    start: seq,
    version: seq,
    heads: fc.array(seq, { maxLength: 4 }),
    pages: seq,
    through: seq,
    scans: fc.array(scan, { maxLength: 4 }),
  }, { noNullPrototype: true }),
  fc.nat(4),
  fc.option(fc.tuple(fc.boolean(), seq, fc.string()), { nil: undefined }),
).map(([base, current, position]) => ({
  ...base,
  current: Math.min(current, base.scans.length),
  ...(position === undefined
    ? {}
    : { position: { gone: position[0], after: { seq: position[1], tie: position[2] } } }),
}));

const cursor: fc.Arbitrary<Cursor> = fc.tuple(
  fc.record({ life: fc.string(), base: seq, lastMutationId: seq, version: seq, held }, {
    noNullPrototype: true,
  }),
  fc.option(paging, { nil: undefined }),
).map(([base, paging]) => paging === undefined ? base : { ...base, paging });

law("readCursor reads what writeCursor wrote", {
  inputs: cursor,
  runs: 500,
  holds: (cursor) => assert.deepEqual(readCursor(writeCursor(cursor)), cursor),
});

law("readCursor reads any text or gives undefined, and what it read can be written again", {
  inputs: fc.tuple(cursor.map(writeCursor), mutation),
  runs: 1_500,
  holds: ([written, edits]) => {
    const bytes = mutate(new TextEncoder().encode(written), edits);
    const read = readHostile(() => readCursor(new TextDecoder().decode(bytes)));
    if (read.refused || read.value === undefined) return;
    const again = readCursor(writeCursor(read.value));
    assert.ok(again !== undefined);
    assert.deepEqual(readCursor(writeCursor(again)), again);
  },
});

const SEAL = new CursorSeal("one gateway's secret");

law("CursorSeal opens what it sealed for the same user, and nothing that was edited", {
  inputs: fc.tuple(
    fc.string({ unit: "grapheme", minLength: writeCursor(NO_CURSOR).length }),
    fc.string({ unit: "grapheme" }),
    mutation,
  ),
  runs: 500,
  holds: ([text, sub, edits]) => {
    const sealed = SEAL.seal(text, sub);
    assert.deepEqual(SEAL.open(sealed, sub), { kind: "ours", text });
    assert.equal(SEAL.open(sealed, `${sub}x`).kind, "never");
    const edited = new TextDecoder().decode(mutate(new TextEncoder().encode(sealed), edits));
    const read = readHostile(() => SEAL.open(edited, sub));
    assert.ok(!read.refused);
    if (read.value.kind === "ours") assert.equal(edited, sealed);
  },
});

const outcomes = messages.deltas.chain((deltas) =>
  fc.tuple(...deltas.map(({ values }) =>
    fc.record({
      wasVisible: fc.boolean(),
      isVisible: fc.boolean(),
      won: fc.oneof(
        fc.constantFrom("all" as const, "none" as const),
        fc.array(fc.boolean(), { minLength: values.length, maxLength: values.length }),
      ),
      merged: fc.array(fc.tuple(fc.nat(20), fc.constantFrom(...values, null)), {
        minLength: 1,
        maxLength: 3,
      }),
    }, { requiredKeys: ["wasVisible", "isVisible", "won"], noNullPrototype: true })
  )).map((outcomes) => ({ deltas, outcomes: outcomes as Outcome[] }))
);
const payload = fc.tuple(outcomes, fc.nat(2 ** 31 - 1));

law("readLogPayload reads what writeLogPayload wrote", {
  inputs: payload,
  runs: 300,
  holds: ([{ deltas, outcomes }, version]) => {
    const bytes = writeLogPayload(version, deltas, outcomes);
    assert.equal(logVersion(bytes), version);
    const read = readLogPayload(bytes);
    assert.deepEqual(read.map(({ delta }) => delta), deltas);
    assert.deepEqual(read.map(({ outcome }) => outcome), outcomes);
  },
});

law("readLogPayload reads any bytes or fails with an error, in bounded time", {
  inputs: hostileBytes(
    payload.map(([{ deltas, outcomes }, version]) => writeLogPayload(version, deltas, outcomes)),
  ),
  runs: 1_000,
  holds: (bytes) => {
    const isDamage = (error: unknown) =>
      error instanceof LakeSyncError || error instanceof SyntaxError || error instanceof RangeError;
    readHostile(() => readLogPayload(bytes), isDamage);
  },
});
