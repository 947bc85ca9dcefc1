/**
 * Where everything of a gateway is in Deno KV. All keys begin with `lakesync`, so that the
 * database may hold other things too.
 *
 * ```text
 * gateways <id>                         that the gateway exists
 * records <key>                         a record of the whole server
 * g <id> head                           HeadRecord
 * g <id> row <table> <rowId>            RowRecord
 * g <id> in <bucket> <gone> <seq> <rid> [table, rowId]
 * g <id> log <seq> <slice>              LogRecord
 * g <id> client <clientId>              Content (JSON)
 * g <id> bucket <number>                BucketFields
 * g <id> bucketId <hash of id>          number
 * g <id> meta <name>                    Content (text)
 * g <id> answer <hash of key>           AnswerRecord
 * g <id> expiry <ms> <hash of key>      true
 * g <id> part <client> <mutation> <n>   PartRecord
 * g <id> partAge <ms> <client> <mutation> <n> true
 * g <id> blob <writeId> <n> <chunk>     bytes
 * g <id> staged <writeId> ...key        the value to come at that key, null to remove it
 * g <id> trash <writeId> [n]            what may be removed: the write's blobs and staged values
 * ```
 *
 * @module
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { BucketEntry, RowKey, StagedPart } from "./store.ts";

/** What names a staged part. */
export type PartName = Pick<StagedPart, "clientId" | "mutationId" | "part">;

/** A part of a key; KV knows more, but no others are used. */
export type KeyPart = string | number | boolean;

/** A key after the gateway's prefix. */
export type GatewayKey = readonly [string, ...KeyPart[]];

/** Under this key and its id each gateway is listed. */
export const GATEWAYS: readonly string[] = ["lakesync", "gateways"];

/** Under this key and its own each record of the server is kept. */
export const RECORDS: readonly string[] = ["lakesync", "records"];

/**
 * What every key of a gateway begins with.
 *
 * @param gatewayId the gateway
 * @returns the prefix
 */
export function prefixOf(gatewayId: string): readonly string[] {
  return ["lakesync", "g", gatewayId];
}

/** The head's key. */
export const HEAD: GatewayKey = ["head"];

/** The key of a row. */
export function rowAt({ table, rowId }: RowKey): GatewayKey {
  return ["row", table, rowId];
}

/** The key of a bucket's entry. */
export function entryAt(
  { bucket, gone, seq }: BucketEntry,
  rid: number,
): GatewayKey {
  return ["in", bucket, gone, seq, rid];
}

/** The key of a bucket. */
export function bucketAt(bucket: number): GatewayKey {
  return ["bucket", bucket];
}

/** The key of a bucket's number by its name, which may be longer than a key. */
export function bucketIdAt(id: string): GatewayKey {
  return ["bucketId", hash(id)];
}

/** The key of a kept answer, whose own key may be longer. */
export function answerAt(key: string): GatewayKey {
  return ["answer", hash(key)];
}

/** The key of a kept answer among those that expire. */
export function expiryAt(expiresMs: number, key: string): GatewayKey {
  return ["expiry", expiresMs, hash(key)];
}

/** The key of a staged part. */
export function partAt({ clientId, mutationId, part }: PartName): GatewayKey {
  return ["part", clientId, mutationId, part];
}

/** The key of a staged part among those that are swept. */
export function partAgeAt(
  stagedMs: number,
  { clientId, mutationId, part }: PartName,
): GatewayKey {
  return ["partAge", stagedMs, clientId, mutationId, part];
}

/** Where the value to come at a key is kept until a write is published. */
export function stagedAt(writeId: string, key: GatewayKey): GatewayKey {
  return ["staged", writeId, ...key];
}

function hash(text: string): string {
  return bytesToHex(sha256(utf8ToBytes(text)));
}
