/**
 * A gateway's schema in all versions that are served, with the numbers under which rows are stored.
 * A table or a column keeps its number for ever, whatever it is called, so stored rows survive every
 * later version and clients of several versions write and read the same cells under their own names.
 *
 * @module
 */

import { LakeSyncError, parseSchema, type Schema, type Shape } from "@lakesync/core";
import { checkSuccessor, lossOf } from "./catalog_losses.ts";
import {
  type Given,
  type NumberedSchema,
  type NumberedSpec,
  numberSchema,
} from "./catalog_numbers.ts";
import { type CatalogTable, CatalogVersion, type CompiledShape } from "./catalog_version.ts";
import { type Census, seenSince } from "./census.ts";

export {
  type CatalogColumn,
  type CatalogTable,
  CatalogVersion,
  type CompiledShape,
  deltaMisfit,
  writtenValues,
} from "./catalog_version.ts";

/** How many versions are served; with more of them the oldest is the first to go. */
export const MAX_VERSIONS = 32;

interface StoredCatalog {
  readonly given: Given;
  /** Ascending; the last one is the newest. */
  readonly versions: readonly NumberedSpec[];
  /** Versions that are not served any more, whose names the log may still use; ascending. */
  readonly retired?: readonly NumberedSpec[];
}

/** What decides whether a schema may take something from the clients of earlier versions. */
export interface Deprecation {
  /** Which versions clients still use. */
  readonly census: Census;
  /** Where the kept history begins, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** Whether they lose it all the same. */
  readonly force: boolean;
}

/** A gateway's schema in all served versions. */
export class Catalog {
  readonly #stored: StoredCatalog;
  readonly #newest: CatalogVersion;
  readonly #views = new Map<number, CatalogVersion>();
  readonly #retired = new Map<number, CatalogVersion>();

  private constructor(stored: StoredCatalog) {
    const last = stored.versions.at(-1);
    if (last === undefined) throw new Error("A stored catalog has no version");
    this.#stored = stored;
    this.#newest = new CatalogVersion(numbered(last), stored.given);
    this.#views.set(this.schema.version, this.#newest);
  }

  /** Reads a catalog from what {@linkcode Catalog.store} wrote. */
  static load(text: string): Catalog {
    return new Catalog(JSON.parse(text));
  }

  /**
   * Makes the catalog of a schema that follows another. Versions whose clients would lose something
   * are not served any more.
   *
   * @param current the catalog so far
   * @param input the new schema
   * @param deprecation who is still there to lose something; unless given, everyone
   * @throws {LakeSyncError} `SCHEMA_CONFLICT` when the version is not newer, `SCHEMA_ERROR` when the
   * schema is not valid, would lose data, or would take something from clients that are still there
   */
  static next(
    current: Catalog | undefined,
    input: unknown,
    deprecation?: Deprecation,
  ): Catalog {
    const schema = parseSchema(input);
    if (current !== undefined) return current.#successor(schema, deprecation);
    const { numbers, given } = numberSchema(undefined, [], schema);
    return new Catalog({ given, versions: [{ spec: schema.spec, numbers }] });
  }

  #successor(schema: Schema, deprecation: Deprecation | undefined): Catalog {
    checkNewer(this.schema, schema);
    const { numbers, given } = numberSchema(this.#newest, this.#stored.given, schema);
    const next = { schema, numbers };
    checkSuccessor(this.#newest, next);
    const kept = this.#kept(next, deprecation);
    const gone = this.#stored.versions.filter((stored) => !kept.includes(stored));
    const retired = [...this.#stored.retired ?? [], ...gone].slice(-MAX_VERSIONS);
    const versions = [...kept, { spec: schema.spec, numbers }];
    return new Catalog({ given, versions, ...(retired.length === 0 ? {} : { retired }) });
  }

  /** The versions that are served beside a new one. */
  #kept(next: NumberedSchema, deprecation: Deprecation | undefined): readonly NumberedSpec[] {
    const { versions } = this.#stored;
    const tooMany = versions.length + 1 - MAX_VERSIONS;
    return versions.filter((stored, at) => {
      const { version } = stored.spec;
      const loss = at < tooMany
        ? `leaves more than ${MAX_VERSIONS} versions to serve`
        : lossOf(this.version(version) ?? numbered(stored), next);
      if (loss !== undefined) checkGone(version, loss, deprecation);
      return loss === undefined;
    });
  }

  /** Writes the catalog as a text. */
  store(): string {
    return JSON.stringify(this.#stored);
  }

  /** The newest schema. */
  get schema(): Schema {
    return this.#newest.schema;
  }

  /** The versions that are served, ascending. */
  get versions(): readonly number[] {
    return this.#stored.versions.map(({ spec }) => spec.version);
  }

  /**
   * The schema as the clients of a version know it.
   *
   * @param version a client's schema version; 0, or one that the gateway does not have yet, stands
   * for the newest
   * @returns undefined when the version is not served, or not any more
   */
  version(version: number): CatalogVersion | undefined {
    if (version === 0 || version > this.schema.version) return this.#newest;
    const known = this.#views.get(version);
    if (known !== undefined) return known;
    const stored = this.#stored.versions.find(({ spec }) => spec.version === version);
    return stored && this.#view(stored, this.#views);
  }

  /**
   * The schema of a version whose names the log uses, served or not.
   *
   * @param version a version that was served when the entry was written
   * @returns undefined when too many versions have come since
   */
  logged(version: number): CatalogVersion | undefined {
    const known = this.version(version) ?? this.#retired.get(version);
    if (known !== undefined) return known;
    const stored = this.#stored.retired?.find(({ spec }) => spec.version === version);
    return stored && this.#view(stored, this.#retired);
  }

  #view(stored: NumberedSpec, views: Map<number, CatalogVersion>): CatalogVersion {
    const view = new CatalogVersion(numbered(stored), this.#stored.given, this.#newest);
    views.set(stored.spec.version, view);
    return view;
  }

  /** A table of the newest version by its name. */
  table(name: string): CatalogTable | undefined {
    return this.#newest.table(name);
  }

  /** A table of the newest version by its number. */
  tableById(id: number): CatalogTable | undefined {
    return this.#newest.tableById(id);
  }

  /** All tables of the newest version. */
  tables(): Iterable<CatalogTable> {
    return this.#newest.tables();
  }

  /** Judges and translates a shape by the newest version, as {@linkcode CatalogVersion.compile}. */
  compile(shape: Shape): CompiledShape | string {
    return this.#newest.compile(shape);
  }
}

/**
 * Finds the version of a client that pushes or pulls.
 *
 * @param catalog the gateway's schema
 * @param version the client's schema version
 * @returns the schema as that client knows it
 * @throws {LakeSyncError} `SCHEMA_CONFLICT` when the version is not served
 */
export function servedVersion(catalog: Catalog, version: number): CatalogVersion {
  const served = catalog.version(version);
  if (served !== undefined) return served;
  throw new LakeSyncError("SCHEMA_CONFLICT", notServed(version));
}

/** What the client of a version that is not served is told. */
export function notServed(version: number): string {
  return `This app's schema version ${version} is no longer served, update the app`;
}

function numbered({ spec, numbers }: NumberedSpec): NumberedSchema {
  return { schema: parseSchema(spec), numbers };
}

function checkNewer(current: Schema, next: Schema): void {
  if (next.version > current.version) return;
  throw new LakeSyncError(
    "SCHEMA_CONFLICT",
    `The gateway has schema version ${current.version} with other content, put a changed schema under a higher version`,
  );
}

function checkGone(version: number, loss: string, deprecation: Deprecation | undefined): void {
  const { census, sinceMs, force } = deprecation ?? { census: new Map(), sinceMs: 0, force: false };
  const lastMs = seenSince(census, version, sinceMs);
  if (force || (deprecation !== undefined && lastMs === undefined)) return;
  const when = lastMs === undefined
    ? "may still be there"
    : `were seen on ${new Date(lastMs).toISOString().slice(0, 10)}`;
  throw new LakeSyncError(
    "SCHEMA_ERROR",
    `The new schema ${loss}, and clients of schema version ${version} ${when}; put it when they are gone, or with force=true`,
  );
}
