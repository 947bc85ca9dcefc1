/**
 * Avro files as Iceberg has them. Fields are known by their ids, so what an engine calls them does
 * not matter; what writes a file puts the schema with its ids into the head as it was given.
 * Source: Apache Avro specification, "Object Container Files"; Iceberg, "Appendix A: Avro".
 *
 * @module
 */

import avsc from "avsc";
import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { toLong } from "./json.ts";
import type { Long } from "./metadata.ts";

/** A schema as JSON. */
export type AvroSchema = string | readonly AvroSchema[] | AvroObject;

/** A schema that is not only a name. */
export interface AvroObject {
  /** What it is: `record`, `array`, `int` … */
  readonly type: AvroSchema;
  /** Of a record. */
  readonly fields?: readonly AvroField[];
  /** Of an array. */
  readonly items?: AvroSchema;
  /** Anything else. */
  readonly [attribute: string]: unknown;
}

/** A field of a record. */
export interface AvroField {
  /** Its name. */
  readonly name: string;
  /** What it holds. */
  readonly type: AvroSchema;
  /** By which Iceberg knows it. */
  readonly "field-id"?: number;
  /** Anything else. */
  readonly [attribute: string]: unknown;
}

/** A record: its values by the names that {@linkcode FieldNames} gives to ids. */
export type AvroRecord = Readonly<Record<string, unknown>>;

/** What fields are called in records; one that is not here is `_` and its id. */
export interface FieldNames {
  /** Names by id. */
  readonly names: ReadonlyMap<number, string>;
  /**
   * Fields that are numbers over 2^53 maybe: {@linkcode Long}. Longs of others throw when they are;
   * those below -2^52 may be rounded.
   */
  readonly longs: ReadonlySet<number>;
  /** A record whose longs are all `bigint`. */
  readonly partition?: number;
}

/** A file that was read. */
export interface AvroFile {
  /** What its head says. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Its records, read as they are asked for. */
  readonly records: Generator<AvroRecord>;
}

/** A file is none, or cannot be read. */
export class AvroError extends Error {
  /** Always `AvroError`. */
  override readonly name: string = "AvroError";
}

/** A file is cut into blocks of so many bytes, before they are compressed. */
const BLOCK_BYTES = 256 * 1024;
const MAGIC = [0x4f, 0x62, 0x6a, 1];
const SYNC_BYTES = 16;

const HEAD = avsc.Type.forSchema({
  type: "record",
  name: "Head",
  fields: [
    { name: "magic", type: { type: "fixed", name: "Magic", size: MAGIC.length } },
    { name: "meta", type: { type: "map", values: "bytes" } },
    { name: "sync", type: { type: "fixed", name: "Sync", size: SYNC_BYTES } },
  ],
});
const COUNT = avsc.Type.forSchema("long");

function longType(read: (value: bigint) => Long): avsc.Type {
  const valid = (value: unknown) => typeof value === "bigint" || Number.isSafeInteger(value);
  return avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => read(bytes.readBigInt64LE()),
    toBuffer(value: Long) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    },
    fromJSON: (value: unknown) => value,
    toJSON: (value: unknown) => value,
    isValid: valid,
    compare: (a: Long, b: Long) => a < b ? -1 : a > b ? 1 : 0,
  });
}

/** Schemas that avsc does not know by these names. */
const LONGS: Readonly<Record<string, avsc.Type>> = {
  "lakesync.long": longType(toLong),
  "lakesync.bigint": longType((value) => value),
};

/** A schema with other names for its fields and longs. */
function named(schema: AvroSchema, known: FieldNames, long: string): unknown {
  if (typeof schema === "string") return schema === "long" ? long : schema;
  if (Array.isArray(schema)) return schema.map((branch) => named(branch, known, long));
  const object = schema as AvroObject;
  if (object.type === "long") return long;
  if (object.fields !== undefined) {
    return { ...object, fields: object.fields.map((field) => namedField(field, known, long)) };
  }
  if (object.items !== undefined) return { type: "array", items: named(object.items, known, long) };
  return typeof object.type === "string" ? object : named(object.type, known, long);
}

function namedField(field: AvroField, known: FieldNames, long: string): unknown {
  const id = field["field-id"];
  if (id === undefined) throw new AvroError(`The field ${field.name} has no id`);
  const name = known.names.get(id) ?? `_${id}`;
  if (known.partition === id) long = "lakesync.bigint";
  else if (known.longs.has(id)) long = "lakesync.long";
  return { name, type: named(field.type, known, long) };
}

function typeOf(schema: AvroSchema, names: FieldNames): avsc.Type {
  return avsc.Type.forSchema(named(schema, names, "long") as avsc.Schema, {
    typeHook: (schema) => typeof schema === "string" ? LONGS[schema] : undefined,
    wrapUnions: "never",
    omitRecordMethods: true,
  });
}

/**
 * Writes a file.
 *
 * @param schema the schema, with ids
 * @param names what the fields are called in the records
 * @param metadata what the head is to say
 * @param records the records
 */
export function encodeAvro(
  schema: AvroSchema,
  names: FieldNames,
  metadata: ReadonlyMap<string, string>,
  records: Iterable<AvroRecord>,
): Uint8Array {
  const type = typeOf(schema, names);
  const sync = Buffer.from(crypto.getRandomValues(new Uint8Array(SYNC_BYTES)));
  const meta: Record<string, Buffer> = {};
  for (const [key, value] of metadata) meta[key] = Buffer.from(value);
  meta["avro.codec"] = Buffer.from("deflate");
  meta["avro.schema"] = Buffer.from(JSON.stringify(schema));
  const parts = [HEAD.toBuffer({ magic: Buffer.from(MAGIC), meta, sync })];
  let block: Buffer[] = [];
  let bytes = 0;
  const flush = () => {
    if (block.length === 0) return;
    const packed = deflateRawSync(Buffer.concat(block));
    parts.push(COUNT.toBuffer(block.length), COUNT.toBuffer(packed.length), packed, sync);
    [block, bytes] = [[], 0];
  };
  for (const record of records) {
    const encoded = type.toBuffer(record);
    block.push(encoded);
    bytes += encoded.length;
    if (bytes >= BLOCK_BYTES) flush();
  }
  flush();
  return new Uint8Array(Buffer.concat(parts));
}

interface Decoded<T> {
  readonly value: T;
  readonly offset: number;
}

function decode<T>(type: avsc.Type, bytes: Buffer, at: number): Decoded<T> {
  const { value, offset } = type.decode(bytes, at) as Decoded<T>;
  if (offset < 0) throw new AvroError("The file is cut off");
  return { value, offset };
}

function unpack(codec: string, block: Buffer): Buffer {
  if (codec === "null") return block;
  if (codec === "deflate") return inflateRawSync(block);
  throw new AvroError(`Files compressed with ${codec} cannot be read`);
}

interface Blocks {
  readonly type: avsc.Type;
  readonly codec: string;
  readonly sync: Buffer;
}

function* readRecords(bytes: Buffer, from: number, blocks: Blocks): Generator<AvroRecord> {
  const { type, codec, sync } = blocks;
  let at = from;
  while (at < bytes.length) {
    const count = decode<number>(COUNT, bytes, at);
    const size = decode<number>(COUNT, bytes, count.offset);
    const end = size.offset + size.value;
    if (!bytes.subarray(end, end + SYNC_BYTES).equals(sync)) {
      throw new AvroError("A block of the file does not end where it should");
    }
    const block = unpack(codec, bytes.subarray(size.offset, end));
    let position = 0;
    for (let i = 0; i < count.value; i++) {
      const { value, offset } = decode<AvroRecord>(type, block, position);
      position = offset;
      yield value;
    }
    at = end + SYNC_BYTES;
  }
}

/**
 * Reads a file.
 *
 * @param file the whole file
 * @param names what the fields are to be called
 * @throws {AvroError} when it is none
 */
export function decodeAvro(file: Uint8Array, names: FieldNames): AvroFile {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) throw new AvroError("This is no Avro file");
  const head = decode<{ meta: Record<string, Buffer>; sync: Buffer }>(HEAD, bytes, 0);
  const { meta, sync } = head.value;
  const metadata = new Map(Object.entries(meta).map(([key, value]) => [key, value.toString()]));
  const schema = JSON.parse(metadata.get("avro.schema") ?? "null");
  const blocks = {
    type: typeOf(schema, names),
    codec: metadata.get("avro.codec") ?? "null",
    sync,
  };
  return { metadata, records: readRecords(bytes, head.offset, blocks) };
}
