/**
 * How a table's schema becomes another one without its files being written anew.
 * Source: Iceberg table specification, "Schema Evolution".
 *
 * @module
 */

import { currentSchema, MetadataError, type TableMetadata } from "./metadata.ts";
import type { LakeField, LakeSchema } from "./schema.ts";
import { fromTableSchema, toTableSchema } from "./schema_json.ts";
import { decimalDigits } from "./single_value.ts";
import type { TableUpdate } from "./updates.ts";

/**
 * Whether values of a type are values of another one, so that old files can be read as it.
 *
 * @param from the type of the files
 * @param to the type of the column
 */
export function widensTo(from: string, to: string): boolean {
  if (from === to || (from === "int" && to === "long")) return true;
  const [a, b] = [decimalDigits(from), decimalDigits(to)];
  return a !== undefined && b !== undefined && a.scale === b.scale && a.precision <= b.precision;
}

function checkChange(old: LakeField, field: LakeField): void {
  if (!widensTo(old.type, field.type)) {
    throw new MetadataError(
      `The column ${field.name} cannot become ${field.type}: files have it as ${old.type}`,
    );
  }
  if (field.required && !old.required) {
    throw new MetadataError(`The column ${field.name} cannot be required: files may lack it`);
  }
}

/** A column that is no longer wanted: it may have no value, and it gives its name back. */
function retired(field: LakeField, taken: ReadonlySet<string>): LakeField {
  let { name } = field;
  while (taken.has(name.toLowerCase())) name = `${name}_${field.id}`;
  return { ...field, name, required: false };
}

/**
 * Makes the next schema of a table. Columns that are not wanted any more stay behind the others;
 * one whose name another column takes is called by its name and id from then on.
 *
 * @param current the schema of the table
 * @param wanted the schema it is to have
 * @param used the types of all columns that the table has or had, by id
 * @returns the schema with all columns of both
 * @throws {MetadataError} when a column cannot become what is wanted, or a number is used again
 */
export function evolveSchema(
  current: LakeSchema,
  wanted: LakeSchema,
  used: ReadonlyMap<number, string> = new Map(),
): LakeSchema {
  const known = new Map(current.fields.map((field) => [field.id, field]));
  const taken = new Set(wanted.fields.map(({ name }) => name.toLowerCase()));
  for (const field of wanted.fields) {
    const old = known.get(field.id);
    if (old !== undefined) checkChange(old, field);
    else if (used.has(field.id)) {
      throw new MetadataError(`The number of the column ${field.name} was another column's`);
    } else if (field.required) {
      throw new MetadataError(`The new column ${field.name} cannot be required: files lack it`);
    }
  }
  const ids = new Set(wanted.fields.map(({ id }) => id));
  const identifiers = wanted.identifierFieldIds ?? current.identifierFieldIds;
  return {
    fields: [
      ...wanted.fields,
      ...current.fields.filter(({ id }) => !ids.has(id)).map((field) => {
        if (!identifiers?.includes(field.id)) return retired(field, taken);
        throw new MetadataError(`The column ${field.name} names rows, so it cannot go`);
      }),
    ],
    ...(identifiers === undefined ? {} : { identifierFieldIds: identifiers }),
  };
}

/**
 * The changes that give a table another schema; none when it has it.
 *
 * @param metadata the table
 * @param wanted the schema it is to have, by {@linkcode evolveSchema}
 * @returns the schema as it will be, and the changes
 * @throws {MetadataError} when a column cannot become what is wanted
 */
export function schemaUpdates(
  metadata: TableMetadata,
  wanted: LakeSchema,
): { readonly schema: LakeSchema; readonly updates: readonly TableUpdate[] } {
  const current = fromTableSchema(currentSchema(metadata));
  const used = new Map(
    metadata.schemas.flatMap(({ fields }) =>
      fields.map(({ id, type }) => [id, typeof type === "string" ? type : ""] as const)
    ),
  );
  const schema = evolveSchema(current, wanted, used);
  if (JSON.stringify(toTableSchema(schema)) === JSON.stringify(toTableSchema(current))) {
    return { schema, updates: [] };
  }
  const lastColumnId = Math.max(
    metadata["last-column-id"],
    ...schema.fields.map(({ id }) => id),
  );
  return {
    schema,
    updates: [
      { action: "add-schema", schema: toTableSchema(schema), "last-column-id": lastColumnId },
      { action: "set-current-schema", "schema-id": -1 },
    ],
  };
}
