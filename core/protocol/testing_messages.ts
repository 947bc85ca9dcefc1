/**
 * Messages of the protocol, with values of every column type and all their edges.
 *
 * @module
 */

import fc from "fast-check";
import { type Hlc, MAX_HLC } from "../clock.ts";
import type { Delta, Op, Shape, Transaction } from "../delta.ts";
import type {
  BucketState,
  ChangeShape,
  ClientFrame,
  ErrorBody,
  PullRequest,
  PullResult,
  PushRequest,
  PushResult,
  Rejection,
  ServerFrame,
} from "./messages.ts";
import { ERROR_STATUS, type ErrorCode, REJECTION_CODES } from "../errors.ts";
import type { Column, Table } from "../schema.ts";
import { SCHEMA, TEXT_EDGES, valueOf } from "../testing_values.ts";
import type { Value } from "../value.ts";

const tables: readonly Table[] = [...SCHEMA.tables.values()];
const count = fc.maxSafeNat();
const positive = count.map((n) => n + 1 > n ? Math.max(n, 1) : 1);
const uint32 = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const text = fc.constantFrom(...TEXT_EDGES, "phone-1");
const filled = text.filter((text) => text !== "");
const hlc = fc.bigInt({ min: 1n, max: MAX_HLC }).map((hlc) => hlc as Hlc);
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((byte) => byte !== 0))
  .map((bytes) => bytes.toHex());

function record<T>(
  model: { [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

function optional<K extends string, T>(
  key: K,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<{ [key in K]?: T }> {
  return fc.oneof(
    fc.constant({}),
    value.map((value) => ({ [key]: value }) as { [key in K]: T }),
  );
}

function cellOf(column: Column): fc.Arbitrary<Value> {
  const value = valueOf(column.type);
  return fc.oneof({ weight: 5, arbitrary: value }, {
    weight: 1,
    arbitrary: fc.constant(null),
  });
}

/** Columns of one table, in any order. */
const someColumns = fc.constantFrom(...tables).chain((table) =>
  fc.shuffledSubarray(table.columns.filter((column) => !column.key))
    .map((columns) => ({ table: table.name, columns }))
);

const shaped = fc.tuple(
  fc.constantFrom<Op>("INSERT", "UPDATE", "DELETE"),
  someColumns,
).map(([op, { table, columns }]) => {
  const names = columns.map((column) => column.name);
  return { shape: { op, table, columns: names } satisfies Shape, columns };
});

/** Deltas that share shapes; some were stamped anew. */
export const deltas: fc.Arbitrary<Delta[]> = fc.array(
  shaped.chain(({ shape, columns }) =>
    fc.array(
      fc.tuple(
        record({
          shape: fc.constant(shape),
          rowId: text,
          hlc: fc.option(hlc, { nil: undefined }),
          values: fc.tuple(...columns.map(cellOf)),
          deltaId: fc.option(digest, { nil: undefined }),
        }),
        optional("written", hlc),
      ).map(([base, more]) => ({ ...base, ...more })),
      { maxLength: 3 },
    )
  ),
  { maxLength: 3 },
).map((groups) => groups.flat());

const transaction: fc.Arbitrary<Transaction> = fc.tuple(
  record({ mutationId: positive, deltas }),
  fc.constantFrom({}, { part: 1, parts: 1 }, { part: 3, parts: 14 }),
  optional("chain", digest),
  optional(
    "refused",
    record({
      previous: fc.oneof(digest, fc.constant("")),
      code: fc.constantFrom(...REJECTION_CODES),
      message: text,
      delta: uint32,
    }),
  ),
).map(([base, ...more]) => Object.assign(base, ...more));

const origin = record({
  clientId: text,
  mutationId: count,
  chain: fc.oneof(digest, fc.constant("")),
  next: digest,
});

/** Pushes. */
export const push: fc.Arbitrary<PushRequest> = fc.tuple(
  record({
    clientId: text,
    schemaVersion: uint32,
    transactions: fc.array(transaction, { maxLength: 3 }),
  }),
  optional("refusalsSeen", positive),
  optional("origin", origin),
).map(([base, ...more]) => Object.assign(base, ...more));

const rejection: fc.Arbitrary<Rejection> = record({
  mutationId: count,
  code: fc.constantFrom(...REJECTION_CODES),
  message: text,
  delta: uint32,
});

/** Answers to a push. */
export const pushResult: fc.Arbitrary<PushResult> = fc.tuple(
  record({
    lastMutationId: count,
    rejected: fc.array(rejection, { maxLength: 2 }),
    seq: count,
    serverTime: text,
    serverHlc: hlc,
  }),
  optional(
    "stopped",
    record({
      mutationId: count,
      code: fc.constantFrom("CLOCK_DRIFT" as const, "SCHEMA_AHEAD" as const),
      message: text,
    }),
  ),
).map(([base, stopped]) => ({ ...base, ...stopped }));

const repair = fc.uniqueArray(filled, { minLength: 1, maxLength: 3 });

/** Pulls. */
export const pull: fc.Arbitrary<PullRequest> = fc.tuple(
  record({ clientId: text }),
  optional("cursor", filled),
  optional("limit", uint32),
  optional("wait", uint32),
  optional("schemaVersion", uint32),
  optional("repair", repair),
).map(([base, ...more]) => Object.assign(base, ...more));

const change = fc.tuple(
  someColumns,
  fc.constantFrom<"PUT" | "REMOVE">("PUT", "REMOVE"),
  optional("unset", fc.constantFrom(["gone_1"], ["gone_1", "gone_2"])),
  optional("buckets", fc.constantFrom([0], [1, 2], [0, 2 ** 32 - 1])),
).chain(([{ table, columns }, op, unset, buckets]) => {
  const carried = op === "PUT" ? columns : [];
  const shape: ChangeShape = {
    op,
    table,
    columns: carried.map((column) => column.name),
    ...(op === "PUT" ? unset : {}),
    ...buckets,
  };
  return fc.array(
    record({
      shape: fc.constant(shape),
      rowId: text,
      values: fc.tuple(...carried.map(cellOf)),
    }),
    { maxLength: 3 },
  );
});

const bucket: fc.Arbitrary<BucketState> = fc.tuple(
  record({ id: text, rows: count }),
  optional("checksum", fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  optional("whole", fc.constant(true as const)),
  optional("gone", fc.constant(true as const)),
  optional(
    "columns",
    fc.dictionary(
      fc.constantFrom("things", "__proto__", ""),
      fc.constantFrom([], ["name"], ["name", "size"]),
      { minKeys: 1, noNullPrototype: true },
    ),
  ),
).map(([base, ...more]) => ({ ...base, ...Object.assign({}, ...more) }));

/** Pages of changes. */
export const pullResult: fc.Arbitrary<PullResult> = fc.tuple(
  record({
    changes: fc.array(change, { maxLength: 3 }).map((groups) => groups.flat()),
    cursor: text,
    complete: fc.boolean(),
    lastMutationId: count,
    serverHlc: hlc,
  }),
  optional("chain", digest),
  optional("checkpoint", record({ seq: count, buckets: fc.array(bucket) })),
).map(([base, ...more]) => Object.assign(base, ...more));

const codes = fc.constantFrom(...Object.keys(ERROR_STATUS) as ErrorCode[]);

/** Errors. */
export const errorBody: fc.Arbitrary<ErrorBody> = fc.tuple(
  record({ error: text, code: codes, requestId: text }),
  count,
  optional("mutationId", positive),
  optional("retryAfterSeconds", uint32),
  optional(
    "links",
    fc.array(
      record({ mutationId: count, hash: digest.map((hash) => hash.slice(0, 16)) }),
      { minLength: 1, maxLength: 3 },
    ),
  ),
  optional("clientId", filled),
).map(([base, lastMutationId, ...more]) => {
  const carries = ["MUTATION_GAP", "CLIENT_FORKED"].includes(base.code);
  return Object.assign(base, carries ? { lastMutationId } : {}, ...more);
});

const hello = fc.tuple(
  record({ clientId: text, schemaVersion: uint32 }),
  optional("cursor", filled),
  optional("refusalsSeen", positive),
  optional("repair", repair),
).map(([base, ...more]) => Object.assign(base, ...more));

/** Frames of a client. */
export const clientFrame: fc.Arbitrary<ClientFrame> = fc.oneof(
  hello.map((hello) => ({ type: "hello" as const, hello })),
  push.map((push) => ({ type: "push" as const, push })),
  pull.map((pull) => ({ type: "pull" as const, pull })),
  text.map((cursor) => ({ type: "ack" as const, cursor })),
  text.map((jwt) => ({ type: "token" as const, jwt })),
  fc.constant({ type: "ping" as const }),
);

/** Frames of the gateway. */
export const serverFrame: fc.Arbitrary<ServerFrame> = fc.oneof(
  record({
    type: fc.constant("welcome" as const),
    serverTime: text,
    limits: fc.dictionary(
      fc.constantFrom("maxBodyBytes", "", "é"),
      count,
      { noNullPrototype: true },
    ),
  }),
  pushResult.map((result) => ({ type: "pushResult" as const, result })),
  pullResult.map((result) => ({ type: "changes" as const, result })),
  fc.array(rejection).map((rejected) => ({
    type: "rejected" as const,
    rejected,
  })),
  text.map((reason) => ({ type: "resync" as const, reason })),
  errorBody.map((error) => ({ type: "error" as const, error })),
  text.map((serverTime) => ({ type: "pong" as const, serverTime })),
  fc.constant({ type: "draining" as const }),
);
