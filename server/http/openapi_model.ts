/**
 * The part of OpenAPI 3.1 that the description uses, as types. Schemas are JSON Schema 2020-12.
 *
 * @module
 */

import type { ErrorCode, JsonValue } from "@lakesync/core";

/** A JSON Schema. */
export type JsonSchema = { readonly [keyword: string]: JsonValue };

/** Points to a part of `components`. */
export interface Reference {
  /** A JSON Pointer within the document. */
  readonly $ref: string;
}

/** A value of the path, the query or a header. */
export interface Parameter {
  /** Its name. */
  readonly name: string;
  /** Where it stands. */
  readonly in: "path" | "query" | "header";
  /** What it is for. */
  readonly description: string;
  /** Whether a request must have it. */
  readonly required?: boolean;
  /** Its values. */
  readonly schema: JsonSchema;
}

/** A body in one content type. */
export interface MediaType {
  /** What it looks like; left out for bytes. */
  readonly schema?: JsonSchema;
  /** One that is accepted, or one that may be answered. */
  readonly example?: JsonValue;
}

/** A header of an answer. */
export interface Header {
  /** What it says. */
  readonly description: string;
  /** Whether every such answer has it. */
  readonly required?: boolean;
  /** Its values. */
  readonly schema: JsonSchema;
}

/** An answer. */
export interface Answer {
  /** When it is given. */
  readonly description: string;
  /** Its headers by name. */
  readonly headers: Readonly<Record<string, Header | Reference>>;
  /** Its body by content type; left out: it has none. */
  readonly content?: Readonly<Record<string, MediaType>>;
}

/** What one method of a path takes and answers, errors left to their codes. */
export interface Operation {
  /** In a few words. */
  readonly summary: string;
  /** What a caller must know beside it. */
  readonly description?: string;
  /** The group it is shown in. */
  readonly tag: "sync" | "admin" | "iceberg" | "health";
  /** Who may call it; `none` needs no token. */
  readonly access: "none" | "client" | "admin";
  /** Beside the path's own. */
  readonly parameters?: readonly (Parameter | Reference)[];
  /** The body by content type; left out: it takes none. */
  readonly body?: Readonly<Record<string, MediaType>>;
  /** What is answered when nothing is wrong, by status. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** What may be wrong. */
  readonly errors: readonly ErrorCode[];
}
