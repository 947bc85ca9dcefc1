/**
 * Rows of one table that hold what was lost, until they are set. Their ids are in objects of the
 * table, which a property names; a batch that sets some writes anew only the objects that have them.
 *
 * @module
 */

import { keyAt, readAt } from "../iceberg/lake_files.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";
import type { Lake } from "./lake.ts";
import { PROPERTY, unsettledKeys } from "./properties.ts";

/** So many ids are in an object, at most. */
const IDS_PER_OBJECT = 20_000;

/** Ids of rows, and the object that has them. */
interface Chunk {
  /** Its location. */
  readonly location: string;
  readonly ids: readonly string[];
}

/** What becomes of rows: whether they are unsettled from then on. */
export type Settling = ReadonlyMap<string, boolean>;

/**
 * Reads the ids of a table's unsettled rows.
 *
 * @param lake the lake
 * @param metadata the table of changes
 */
export async function readUnsettled(
  lake: Lake,
  metadata: TableMetadata,
): Promise<readonly string[]> {
  return (await chunksOf(lake, metadata)).flatMap(({ ids }) => ids);
}

async function chunksOf(lake: Lake, metadata: TableMetadata): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  for (const location of unsettledKeys(metadata)) {
    const text = new TextDecoder().decode(await readAt(lake, location));
    chunks.push({ location, ids: JSON.parse(text) });
  }
  return chunks;
}

/**
 * Writes which rows are unsettled after a commit.
 *
 * @param lake the lake
 * @param metadata the table of changes before it
 * @param settling what becomes of rows
 * @returns the property to be set with the commit; none when nothing changes
 */
export async function writeUnsettled(
  lake: Lake,
  metadata: TableMetadata,
  settling: Settling,
): Promise<Readonly<Record<string, string>>> {
  const isNone = unsettledKeys(metadata).length === 0;
  const wanted = [...settling].flatMap(([id, isUnsettled]) => isUnsettled ? [id] : []);
  if (settling.size === 0 || (isNone && wanted.length === 0)) return {};
  const added = new Set(wanted);
  const locations: string[] = [];
  for (const { location, ids } of await chunksOf(lake, metadata)) {
    const left = ids.filter((id) => settling.get(id) !== false);
    for (const id of left) added.delete(id);
    if (left.length === ids.length) locations.push(location);
    else if (left.length > 0) locations.push(await write(lake, metadata, left));
  }
  const ids = [...added];
  for (let at = 0; at < ids.length; at += IDS_PER_OBJECT) {
    locations.push(await write(lake, metadata, ids.slice(at, at + IDS_PER_OBJECT)));
  }
  return { [PROPERTY.unsettled]: JSON.stringify(locations) };
}

async function write(
  lake: Lake,
  { location }: TableMetadata,
  ids: readonly string[],
): Promise<string> {
  const name = `${location}/metadata/unsettled-${crypto.randomUUID()}.json`;
  await lake.store.putObject(keyAt(lake, name), new TextEncoder().encode(JSON.stringify(ids)));
  return name;
}
