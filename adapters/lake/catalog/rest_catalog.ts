/**
 * A catalog that is a server of its own and speaks Iceberg's REST protocol: Polaris, Nessie,
 * Lakekeeper, Unity, R2's and others. It writes the metadata; LakeSync writes the rest.
 *
 * Source: Apache Iceberg REST catalog specification.
 *
 * @module
 */

import type { TableMetadata } from "../iceberg/metadata.ts";
import { snapshotOfRef } from "../iceberg/metadata.ts";
import { creationUpdates } from "../iceberg/new_table.ts";
import type { TableUpdate } from "../iceberg/updates.ts";
import { type Catalog, CatalogError, type LoadedTable, type TableName } from "./catalog.ts";
import { isObject, LostAnswer } from "./rest_http.ts";
import type { RestCatalogOptions } from "./rest_options.ts";
import { holds, isInForce, requirementsOf, type TableRequirement } from "./rest_requirements.ts";
import { type CatalogReply, RestSession } from "./rest_session.ts";

export type { OAuth2Options, RestCatalogOptions } from "./rest_options.ts";

const MAX_PAGES = 10_000;

function isMetadata(value: unknown): value is TableMetadata {
  return isObject(value) && value["format-version"] === 2 &&
    typeof value["table-uuid"] === "string" && typeof value.location === "string" &&
    typeof value["current-schema-id"] === "number" &&
    [value.schemas, value["partition-specs"], value["sort-orders"]].every(Array.isArray);
}

function loadedTable(table: TableName, { body }: CatalogReply): LoadedTable | undefined {
  if (!isObject(body)) return undefined;
  const { metadata, "metadata-location": metadataLocation } = body;
  if (isObject(metadata) && typeof metadata["format-version"] === "number") {
    const version = metadata["format-version"];
    if (version !== 2) {
      throw new CatalogError(
        "refused",
        `Table ${table.namespace}.${table.name} has format version ${version} and not 2`,
      );
    }
  }
  if (!isMetadata(metadata) || typeof metadataLocation !== "string") return undefined;
  return { table, metadata, metadataLocation, snapshot: snapshotOfRef(metadata) };
}

function pathOf(namespace: string): string {
  return `/namespaces/${encodeURIComponent(namespace)}`;
}

function tablePath({ namespace, name }: TableName): string {
  return `${pathOf(namespace)}/tables/${encodeURIComponent(name)}`;
}

function identifier({ namespace, name }: TableName): Record<string, unknown> {
  return { namespace: [namespace], name };
}

/** Whether the catalog says that something is not there; a proxy's 404 does not say so. */
function isMissing({ status, errorType = "" }: CatalogReply): boolean {
  return status === 404 && /^NoSuch|NotFound/.test(errorType);
}

/** Whether the catalog says that it did nothing and may be asked again. */
function isBusy({ status, retryAfterMs }: CatalogReply): boolean {
  return status === 429 || (status === 503 && retryAfterMs !== undefined);
}

/** What an answer that is none of the expected ones means for something that was to be changed. */
function failure(what: string, reply: CatalogReply): CatalogError {
  const kind = isBusy(reply) ? "unreachable" : reply.status >= 500 ? "unknown" : "refused";
  return new CatalogError(kind, `The catalog was to ${what} and the answer was ${reply.text}`);
}

/** The same for something that was asked. */
function noAnswer(what: string, reply: CatalogReply): CatalogError {
  const isFinal = reply.status >= 300 && reply.status < 500 && reply.status !== 429;
  return new CatalogError(
    isFinal ? "refused" : "unreachable",
    `The catalog was asked for ${what} and the answer was ${reply.text}`,
  );
}

class RestCatalog implements Catalog {
  readonly #session: RestSession;
  readonly #namespaces = new Set<string>();

  constructor(session: RestSession) {
    this.#session = session;
  }

  async list(namespace: string): Promise<readonly TableName[]> {
    const tables: TableName[] = [];
    let pageToken = "";
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const reply = await this.#session.get(
        `${pathOf(namespace)}/tables?pageToken=${encodeURIComponent(pageToken)}`,
      );
      if (isMissing(reply)) return [];
      const { identifiers, "next-page-token": next } = isObject(reply.body) ? reply.body : {};
      if (reply.status !== 200 || !Array.isArray(identifiers)) throw noAnswer("tables", reply);
      for (const { name } of identifiers.filter(isObject)) {
        if (typeof name === "string") tables.push({ namespace, name });
      }
      if (typeof next !== "string" || next === "") return tables;
      pageToken = next;
    }
    throw new CatalogError("refused", "The catalog's list of tables does not end");
  }

  async load(table: TableName): Promise<LoadedTable | undefined> {
    const reply = await this.#session.get(`${tablePath(table)}?snapshots=all`);
    if (isMissing(reply)) return undefined;
    const loaded = reply.status === 200 ? loadedTable(table, reply) : undefined;
    if (loaded === undefined) throw noAnswer(`table ${table.namespace}.${table.name}`, reply);
    return loaded;
  }

  async create(table: TableName, metadata: TableMetadata): Promise<LoadedTable> {
    await this.#makeNamespace(table.namespace);
    const updates = creationUpdates(metadata);
    // A catalog that is sent a schema to create a table with gives its columns other numbers.
    const created = await this.#send(
      table,
      [{ type: "assert-create" }],
      updates,
      (now) => now["table-uuid"] === metadata["table-uuid"],
    );
    if (sameIds(created.metadata, metadata)) return created;
    throw new CatalogError(
      "refused",
      `The catalog gave the columns of ${table.namespace}.${table.name} other numbers`,
    );
  }

  async commit(base: LoadedTable, updates: readonly TableUpdate[]): Promise<LoadedTable> {
    const { table, metadata } = base;
    return await this.#send(
      table,
      requirementsOf(metadata, updates),
      updates,
      (now) => now["table-uuid"] === metadata["table-uuid"] && isInForce(now, updates),
    );
  }

  async rename(from: TableName, to: TableName): Promise<TableName> {
    const json = { source: identifier(from), destination: identifier(to) };
    const what = `rename ${from.namespace}.${from.name}`;
    let reply: CatalogReply;
    try {
      reply = await this.#session.post("/tables/rename", json);
    } catch (cause) {
      if (!(cause instanceof LostAnswer)) throw cause;
      throw new CatalogError("unknown", `The catalog was to ${what} and did not answer`, { cause });
    }
    if (reply.status >= 200 && reply.status < 300) return to;
    if (reply.status === 409 || isMissing(reply)) {
      throw new CatalogError("conflict", `The catalog was to ${what}, it answered ${reply.text}`);
    }
    if ([400, 404, 405, 406, 501].includes(reply.status)) return from;
    throw failure(what, reply);
  }

  close(): Promise<void> {
    this.#session.close();
    return Promise.resolve();
  }

  async #makeNamespace(namespace: string): Promise<void> {
    if (this.#namespaces.has(namespace)) return;
    const reply = await this.#session.get(pathOf(namespace));
    if (isMissing(reply)) await this.#createNamespace(namespace);
    else if (reply.status !== 200) throw noAnswer(`namespace ${namespace}`, reply);
    this.#namespaces.add(namespace);
  }

  async #createNamespace(namespace: string): Promise<void> {
    const json = { namespace: [namespace], properties: {} };
    try {
      const reply = await this.#session.post("/namespaces", json);
      if (reply.status !== 200 && reply.status !== 409) {
        throw failure(`create namespace ${namespace}`, reply);
      }
    } catch (cause) {
      if (!(cause instanceof LostAnswer)) throw cause;
      // Nothing depends on it, and one that is there already is no error.
      throw new CatalogError("unreachable", "The catalog did not answer", { cause });
    }
  }

  /**
   * Sends a commit. Whenever it is not plain what became of it, the table is looked at. A refusal is
   * not plain: runtimes and proxies send a request again when its connection broke, and then the
   * answer is that of the second time. A commit that is not in force never will be once it asks for
   * something that the table no longer is; until then it may still be on its way.
   */
  async #send(
    table: TableName,
    requirements: readonly TableRequirement[],
    updates: readonly TableUpdate[],
    isDone: (now: TableMetadata) => boolean,
  ): Promise<LoadedTable> {
    const name = `${table.namespace}.${table.name}`;
    const json = { identifier: identifier(table), requirements, updates };
    let said = "it did not answer";
    let cause: unknown;
    try {
      const reply = await this.#session.post(tablePath(table), json);
      said = `it answered ${reply.text}`;
      const loaded = reply.status === 200 ? loadedTable(table, reply) : undefined;
      if (loaded !== undefined && isDone(loaded.metadata)) return loaded;
      const isUnclear = reply.status === 200 || reply.status === 409 || isMissing(reply) ||
        (reply.status >= 500 && !isBusy(reply));
      if (!isUnclear) throw failure(`commit to ${name}`, reply);
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      cause = error;
    }
    let now: LoadedTable | undefined;
    try {
      now = await this.load(table);
    } catch (error) {
      cause ??= error;
      throw new CatalogError("unknown", `The catalog was to commit to ${name}, ${said}`, { cause });
    }
    if (now !== undefined && isDone(now.metadata)) return now;
    const isLost = !requirements.every((asked) => holds(now?.metadata, asked));
    throw new CatalogError(
      isLost ? "conflict" : "unknown",
      `The catalog was to commit to ${name}, ${said}`,
      { cause },
    );
  }
}

function sameIds(a: TableMetadata, b: TableMetadata): boolean {
  const ids = (metadata: TableMetadata) =>
    metadata.schemas.flatMap(({ fields }) => fields.map(({ id, name }) => `${id} ${name}`));
  return ids(a).join() === ids(b).join();
}

/**
 * Opens a REST catalog. It is first asked when something is asked of it.
 *
 * @param options how it is reached
 * @param now the time, in milliseconds since 1970; the runtime's unless given
 * @throws {TypeError} when the options are none
 *
 * @example
 * ```ts
 * import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
 *
 * const catalog = restCatalog({
 *   uri: "https://catalog.example.com/iceberg",
 *   warehouse: "devices",
 *   oauth2: { clientId: "gateway", clientSecret: "…", scope: "PRINCIPAL_ROLE:ALL" },
 * });
 * await catalog.close();
 * ```
 */
export function restCatalog(
  options: RestCatalogOptions,
  now: () => number = () => Date.now(),
): Catalog {
  return new RestCatalog(new RestSession(options, now));
}
