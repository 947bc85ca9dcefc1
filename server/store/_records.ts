/**
 * Records that stores keep as JSON text, so that a new field needs no new layout.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { ClientRecord, KeptAnswer } from "./store.ts";

type ClientFields = Omit<ClientRecord, "clientId">;
type AnswerFields = Omit<KeptAnswer, "key">;

/**
 * Writes a client without its name, which is its key.
 *
 * @param client the client
 * @returns JSON text
 */
export function encodeClient({ clientId: _, ...fields }: ClientRecord): string {
  return JSON.stringify(fields satisfies ClientFields);
}

/**
 * Reads a client.
 *
 * @param clientId its name
 * @param json what {@linkcode encodeClient} wrote
 * @returns the client
 */
export function decodeClient(clientId: string, json: string): ClientRecord {
  const fields: unknown = JSON.parse(json);
  if (!isClient(fields)) throw damaged("client");
  return { ...fields, clientId };
}

/**
 * Writes a kept answer without its key.
 *
 * @param answer the answer
 * @returns JSON text
 */
export function encodeAnswer({ key: _, ...fields }: KeptAnswer): string {
  return JSON.stringify(fields satisfies AnswerFields);
}

/**
 * Reads a kept answer.
 *
 * @param key its key
 * @param json what {@linkcode encodeAnswer} wrote
 * @returns the answer
 */
export function decodeAnswer(key: string, json: string): KeptAnswer {
  const fields: unknown = JSON.parse(json);
  if (!isAnswer(fields)) throw damaged("kept answer");
  return { ...fields, key };
}

/**
 * Writes a text that may hold any character.
 *
 * @param value the text
 * @returns JSON text, without NULs and lone surrogates
 */
export function encodeText(value: string): string {
  return JSON.stringify(value);
}

/**
 * Reads a text.
 *
 * @param json what {@linkcode encodeText} wrote
 * @returns the text
 */
export function decodeText(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "string") throw damaged("record");
  return value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isClient(value: unknown): value is ClientFields {
  return isObject(value) &&
    "sub" in value && typeof value.sub === "string" &&
    "lastMutationId" in value && typeof value.lastMutationId === "number" &&
    "refusals" in value && Array.isArray(value.refusals) &&
    "chain" in value && Array.isArray(value.chain) &&
    "orphans" in value && typeof value.orphans === "number" &&
    "seenMs" in value && typeof value.seenMs === "number";
}

function isAnswer(value: unknown): value is AnswerFields {
  return isObject(value) &&
    "bodyHash" in value && typeof value.bodyHash === "string" &&
    "answer" in value && typeof value.answer === "string" &&
    "expiresMs" in value && typeof value.expiresMs === "number";
}

function damaged(what: string): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `A ${what} in the store is damaged, restore it from a backup`,
  );
}
