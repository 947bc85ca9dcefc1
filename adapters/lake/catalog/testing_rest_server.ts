/**
 * A small REST catalog in memory that fails as it is told to, for tests of the client.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { formatJson, parseJson } from "../iceberg/json.ts";
import { snapshotOfRef, type TableMetadata } from "../iceberg/metadata.ts";
import { applyUpdates, type TableUpdate } from "../iceberg/updates.ts";
import type { TableRequirement } from "./rest_requirements.ts";

/** A request as the server got it. */
export interface Heard {
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly header: (name: string) => string | undefined;
  readonly body: string;
}

/** An answer, or none: the connection is cut before the request is done, or after. */
export type Fault =
  | {
    readonly status: number;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string>>;
  }
  | "cut before"
  | "cut after"
  | "done twice";

/** A running server. */
export interface RestServer extends AsyncDisposable {
  /** Its address, without `/v1`. */
  readonly uri: string;
  /** What it heard, in order. */
  readonly heard: readonly Heard[];
  /** The metadata of its tables, by `namespace.name`. */
  readonly tables: Map<string, TableMetadata>;
  readonly namespaces: Set<string>;
  /** What it says to `GET /v1/config`. */
  config: Record<string, unknown>;
  /** So many tables are on a page. */
  pageSize: number;
  /** Chooses what becomes of a request; undefined for the usual. */
  fault: (heard: Heard) => Fault | undefined;
}

interface Commit {
  readonly requirements: readonly TableRequirement[];
  readonly updates: readonly TableUpdate[];
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

function errorReply(status: number, type: string): Reply {
  return { status, body: { error: { message: "As told", type, code: status } } };
}

const EMPTY: TableMetadata = {
  "format-version": 2,
  "table-uuid": "",
  location: "",
  "last-sequence-number": 0,
  "last-updated-ms": 0,
  "last-column-id": 0,
  schemas: [],
  "current-schema-id": -1,
  "partition-specs": [],
  "default-spec-id": -1,
  "last-partition-id": 999,
  "sort-orders": [],
  "default-sort-order-id": -1,
};

function holds(table: TableMetadata | undefined, asked: TableRequirement): boolean {
  if (asked.type === "assert-create") return table === undefined;
  if (table === undefined) return false;
  if (asked.type === "assert-table-uuid") return table["table-uuid"] === asked.uuid;
  if (asked.type === "assert-current-schema-id") {
    return table["current-schema-id"] === asked["current-schema-id"];
  }
  if (asked.type !== "assert-ref-snapshot-id") return true;
  const snapshot = snapshotOfRef(table, asked.ref);
  return (snapshot?.["snapshot-id"] ?? null) === asked["snapshot-id"];
}

class Catalog {
  readonly heard: Heard[] = [];
  readonly tables = new Map<string, TableMetadata>();
  readonly namespaces = new Set<string>();
  config: Record<string, unknown> = { defaults: {}, overrides: {} };
  pageSize = 100;
  fault: (heard: Heard) => Fault | undefined = () => undefined;

  answer(heard: Heard): Reply {
    const url = new URL(heard.path, "http://catalog");
    if (url.pathname === "/v1/config") return { status: 200, body: this.config };
    const [, base = "", namespace, name] =
      /^\/v1(.*?)\/namespaces(?:\/([^/]+)(?:\/tables(?:\/([^/]+))?)?)?$/.exec(url.pathname) ?? [];
    if (url.pathname.endsWith("/tables/rename")) return this.#rename(heard.body);
    if (namespace === undefined) {
      this.namespaces.add(JSON.parse(heard.body).namespace[0]);
      return { status: 200, body: {} };
    }
    if (name !== undefined) return this.#table(`${namespace}.${name}`, heard);
    if (!this.namespaces.has(namespace)) return errorReply(404, "NoSuchNamespaceException");
    if (!url.pathname.endsWith("/tables")) return { status: 200, body: { base } };
    const from = Number(url.searchParams.get("pageToken"));
    const names = [...this.tables.keys()].map((key) => key.slice(namespace.length + 1));
    const to = from + this.pageSize;
    return {
      status: 200,
      body: {
        identifiers: names.slice(from, to).map((name) => ({ namespace: [namespace], name })),
        "next-page-token": to < names.length ? String(to) : null,
      },
    };
  }

  #table(key: string, { method, body }: Heard): Reply {
    const before = this.tables.get(key);
    if (method === "GET") {
      return before === undefined ? errorReply(404, "NoSuchTableException") : loaded(key, before);
    }
    const { requirements, updates } = parseJson(body) as Commit;
    if (!requirements.every((asked) => holds(before, asked))) {
      return errorReply(409, "CommitFailedException");
    }
    const after = applyUpdates(before ?? EMPTY, updates, 0);
    this.tables.set(key, after);
    return loaded(key, after);
  }

  #rename(body: string): Reply {
    const { source, destination } = JSON.parse(body);
    const key = `${source.namespace[0]}.${source.name}`;
    const table = this.tables.get(key);
    if (table === undefined) return errorReply(404, "NoSuchTableException");
    this.tables.delete(key);
    this.tables.set(`${destination.namespace[0]}.${destination.name}`, table);
    return { status: 204, body: undefined };
  }
}

function loaded(key: string, metadata: TableMetadata): Reply {
  const body = { "metadata-location": `file:///lake/${key}/1.metadata.json`, metadata };
  return { status: 200, body };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return await new Blob(chunks.map((chunk) => new Uint8Array(chunk))).text();
}

async function serve(
  catalog: Catalog,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const heard: Heard = {
    method: request.method ?? "",
    path: request.url ?? "",
    authorization: request.headers.authorization,
    header: (name) => String(request.headers[name] ?? ""),
    body: await bodyOf(request),
  };
  catalog.heard.push(heard);
  const fault = catalog.fault(heard);
  if (fault === "cut before") return void request.socket.destroy();
  if (typeof fault === "object") {
    response.writeHead(fault.status, { ...fault.headers }).end(fault.body ?? "");
    return;
  }
  let reply = catalog.answer(heard);
  if (fault === "done twice") reply = catalog.answer(heard);
  if (fault === "cut after") return void request.socket.destroy();
  response.writeHead(reply.status, { "content-type": "application/json" });
  response.end(reply.body === undefined ? "" : formatJson(reply.body));
}

/** Starts a server. */
export async function startRestServer(): Promise<RestServer> {
  const catalog = new Catalog();
  const server = createServer((request, response) => void serve(catalog, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(catalog, {
    uri: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
