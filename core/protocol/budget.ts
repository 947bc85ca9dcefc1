/**
 * Bounds the memory a protobuf body may take before it is parsed: an empty nested message is two
 * bytes on the wire and hundreds in memory, so a body within its byte limit could still take
 * gigabytes.
 *
 * Internal to the protocol; use binary.ts.
 *
 * @module
 */

import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { malformed } from "./cells.ts";

/** Nested messages of one body; a push or page within its limits has a few tens of thousands. */
export const MAX_NESTED_MESSAGES = 100_000;

const childrenOf = new WeakMap<DescMessage, ReadonlyMap<number, DescMessage>>();

function children(desc: DescMessage): ReadonlyMap<number, DescMessage> {
  let found = childrenOf.get(desc);
  if (found === undefined) {
    const map = new Map<number, DescMessage>();
    for (const field of desc.fields) {
      if (field.message !== undefined) map.set(field.number, field.message);
    }
    found = map;
    childrenOf.set(desc, found);
  }
  return found;
}

function count(desc: DescMessage, reader: BinaryReader, end: number): number {
  const nested = children(desc);
  let messages = 0;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    const child = nested.get(field);
    if (child === undefined || wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, field);
      continue;
    }
    const length = reader.uint32();
    if (length > end - reader.pos) throw malformed("it ends too early");
    messages += 1 + count(child, reader, reader.pos + length);
    if (messages > MAX_NESTED_MESSAGES) {
      throw malformed(
        `it holds more than ${MAX_NESTED_MESSAGES} nested messages`,
      );
    }
  }
  return messages;
}

/**
 * Refuses a body that holds more than {@linkcode MAX_NESTED_MESSAGES}, without parsing it.
 *
 * @param desc the message that is expected
 * @param bytes the body
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there are too many
 * @throws {Error} when the bytes are not protobuf
 */
export function checkMessageCount(desc: DescMessage, bytes: Uint8Array): void {
  count(desc, new BinaryReader(bytes), bytes.length);
}
