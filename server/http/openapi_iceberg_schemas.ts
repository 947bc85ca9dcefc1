/**
 * Bodies of the Iceberg catalog and the status of lakes as JSON Schemas, by name.
 *
 * @module
 */

import type { JsonSchema } from "./openapi_model.ts";

const text: JsonSchema = { type: "string" };
const texts: JsonSchema = { type: "array", items: text };
const nextPage: JsonSchema = { type: ["string", "null"] };
const properties: JsonSchema = { type: "object", additionalProperties: text };

function object(fields: JsonSchema, required = Object.keys(fields)): JsonSchema {
  return { type: "object", required, properties: fields };
}

const count: JsonSchema = { type: "integer", minimum: 0 };

/** The schemas by name. */
export const ICEBERG_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  IcebergError: object({
    error: object({ message: text, type: text, code: { type: "integer" } }),
  }),
  IcebergConfig: object({ defaults: properties, overrides: properties, endpoints: texts }),
  IcebergNoTokens: object({ error: text, error_description: text }),
  IcebergNamespaces: object({
    namespaces: { type: "array", items: texts },
    "next-page-token": nextPage,
  }),
  IcebergNamespace: object({ namespace: texts, properties }),
  IcebergTables: object({
    identifiers: { type: "array", items: object({ namespace: texts, name: text }) },
    "next-page-token": nextPage,
  }),
  IcebergTable: object({
    "metadata-location": text,
    metadata: { type: "object", description: "Table metadata, as Iceberg's format has it." },
  }),
  LakeStatus: object({
    name: text,
    namespace: text,
    mergeLagCommits: count,
    mergeLagSeconds: { type: "number", minimum: 0 },
    mergedChanges: count,
    failures: count,
    lastError: object({ message: text, at: text }),
    tables: {
      type: "array",
      items: object({ table: text, files: count, bytes: count, rows: count, snapshots: count }),
    },
  }, ["name", "namespace", "mergeLagCommits", "mergeLagSeconds", "failures", "tables"]),
};
