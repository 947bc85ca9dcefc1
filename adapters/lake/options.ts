/**
 * How a lake is opened as a destination.
 *
 * @module
 */

import type { ObjectStore } from "../object-store/object_store.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { LakeFiles } from "./iceberg/lake_files.ts";
import type { LakeLocation } from "./location.ts";
import type { ParquetReader, ParquetWriter } from "./parquet/parquet.ts";

/** What a lake is made of. */
export interface LakeOptions {
  /** Its name, for status and log; `lake` unless given. */
  readonly name?: string;
  /** Where its objects are, or what opens that; it is opened with the first call. */
  readonly store: ObjectStore | (() => ObjectStore | Promise<ObjectStore>);
  /** What the objects are called outside. */
  readonly location: LakeLocation;
  /** What knows the tables; the object store alone unless given. It is closed with the lake. */
  readonly catalog?: Catalog | ((files: LakeFiles) => Catalog | Promise<Catalog>);
  /** What the tables are under: a namespace for each gateway. */
  readonly namespace: string;
  /** Writes files; parquet-wasm unless given. It is closed with the lake. */
  readonly writer?: ParquetWriter;
  /** Reads files; parquet-wasm unless given. It is closed with the lake. */
  readonly reader?: ParquetReader;
  /** Whether files are written in a thread of their own, where there are threads; true unless given. */
  readonly thread?: boolean;
  /** The clock, in milliseconds since 1970; the runtime's unless given. */
  readonly now?: () => number;
  /** Lets others have their turn while a batch is made; the event loop's next turn unless given. */
  readonly nextTurn?: () => Promise<void>;
}
