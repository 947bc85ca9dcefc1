/**
 * Schemas of LakeSync's tables as JSON, and back.
 * Source: Iceberg table specification, "Appendix C: JSON serialization".
 *
 * @module
 */

import { MetadataError, type SchemaField, type TableSchema } from "./metadata.ts";
import type { LakeField, LakeSchema, LakeType } from "./schema.ts";
import { decimalDigits } from "./single_value.ts";

const TYPES: ReadonlySet<string> = new Set<LakeType>([
  "boolean",
  "int",
  "long",
  "double",
  "date",
  "timestamptz",
  "string",
  "binary",
]);

function isPlainType(type: unknown): type is LakeType {
  return typeof type === "string" && TYPES.has(type);
}

function lakeType(field: SchemaField): LakeType {
  if (isPlainType(field.type)) return field.type;
  const digits = typeof field.type === "string" ? decimalDigits(field.type) : undefined;
  if (digits !== undefined) return `decimal(${digits.precision}, ${digits.scale})`;
  throw new MetadataError(`The column ${field.name} has a type that tables of LakeSync have not`);
}

/**
 * Makes the JSON of a schema.
 *
 * @param schema the schema
 * @param id its number in the table
 */
export function toTableSchema(schema: LakeSchema, id: number = 0): TableSchema {
  return {
    type: "struct",
    "schema-id": id,
    ...(schema.identifierFieldIds === undefined || schema.identifierFieldIds.length === 0
      ? {}
      : { "identifier-field-ids": schema.identifierFieldIds }),
    fields: schema.fields.map(({ id, name, required, type, doc }) => ({
      id,
      name,
      required,
      type,
      ...(doc === undefined ? {} : { doc }),
    })),
  };
}

/**
 * Reads the JSON of a schema.
 *
 * @param schema the JSON
 * @throws {MetadataError} when a column has a type that LakeSync's tables have not
 */
export function fromTableSchema(schema: TableSchema): LakeSchema {
  const identifiers = schema["identifier-field-ids"] ?? [];
  return {
    fields: schema.fields.map((field): LakeField => ({
      id: field.id,
      name: field.name,
      type: lakeType(field),
      required: field.required,
      ...(field.doc === undefined ? {} : { doc: field.doc }),
    })),
    ...(identifiers.length === 0 ? {} : { identifierFieldIds: identifiers }),
  };
}

/**
 * What `iceberg.schema` of a file is to say.
 *
 * @param schema the schema
 * @param id its number in the table
 */
export function schemaText(schema: LakeSchema, id: number = 0): string {
  return JSON.stringify(toTableSchema(schema, id));
}
