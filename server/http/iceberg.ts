/**
 * `/v1/iceberg/…`: a read-only Iceberg REST catalog of the lakes that gateways flush to, so that an
 * engine finds the tables with one URL. A warehouse is a destination, a namespace in it a gateway.
 * For tokens of role admin, since a lake holds everyone's rows.
 *
 * Source: Apache Iceberg REST catalog specification.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { LoadedTable } from "@lakesync/adapters/lake/catalog";
import { callerOf } from "../auth/authorize.ts";
import type { VerifiedToken } from "../auth/token.ts";
import type { OpenLake } from "../destinations/lakes.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { authenticate, refuseWhenDraining } from "./guard.ts";
import { IcebergNotFound } from "./iceberg_reply.ts";
import { CONTENT_TYPE } from "./media.ts";
import { reply, replyJson } from "./reply.ts";

/** What the catalog can do, in its own words. */
const ENDPOINTS: readonly string[] = [
  "GET /v1/{prefix}/namespaces",
  "GET /v1/{prefix}/namespaces/{namespace}",
  "HEAD /v1/{prefix}/namespaces/{namespace}",
  "GET /v1/{prefix}/namespaces/{namespace}/tables",
  "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
  "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

const PAGE_SIZE = { usual: 1_000, most: 10_000 } as const;

/** The token, of role admin as all routes here need it. */
async function admit(context: ServerContext, c: RequestContext): Promise<VerifiedToken> {
  const token = await authenticate(context, c.env.scope);
  refuseWhenDraining(context);
  return token;
}

/** The lakes that a token is for. */
function lakesFor({ lakes }: ServerContext, { gw }: VerifiedToken): readonly OpenLake[] {
  return (lakes?.all() ?? []).filter(({ gatewayId }) => gw === "*" || gw === gatewayId);
}

function namesOf(lakes: readonly OpenLake[]): readonly string[] {
  return [...new Set(lakes.map(({ name }) => name))].sort();
}

/** The lakes of the path's warehouse that a token is for. */
async function warehouseOf(
  context: ServerContext,
  c: RequestContext,
): Promise<readonly OpenLake[]> {
  const token = await admit(context, c);
  const warehouse = c.req.param("warehouse");
  const lakes = lakesFor(context, token).filter(({ name }) => name === warehouse);
  if (lakes.length > 0) return lakes;
  throw new LakeSyncError("NOT_FOUND", "There is no such warehouse, GET config names it");
}

/** The lake of the path's namespace. */
async function lakeOf(context: ServerContext, c: RequestContext): Promise<OpenLake> {
  const token = await admit(context, c);
  const namespace = c.req.param("namespace") ?? "";
  await context.access?.checkUser({ gatewayId: namespace }, token);
  callerOf(token, namespace);
  const lake = lakesFor(context, token).find(({ name, gatewayId }) =>
    name === c.req.param("warehouse") && gatewayId === namespace
  );
  if (lake !== undefined) return lake;
  throw new IcebergNotFound("Namespace", "There is no such namespace, a gateway's id is one");
}

/** Reads of a lake's catalog; what it fails with is not the caller's fault. */
async function read<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new LakeSyncError("ADAPTER_ERROR", "The lake cannot be read now, try again", {}, {
      cause,
    });
  }
}

/** A page of sorted names, when one is asked for; else all. The token is the last name before it. */
function pageOf(
  c: RequestContext,
  names: readonly string[],
): { readonly names: readonly string[]; readonly next?: string } {
  const sorted = [...names].sort();
  const after = c.req.query("pageToken");
  if (after === undefined) return { names: sorted };
  const text = c.req.query("pageSize") ?? String(PAGE_SIZE.usual);
  const size = /^\d{1,9}$/.test(text) ? Math.min(Number(text), PAGE_SIZE.most) : 0;
  if (size === 0) {
    throw new LakeSyncError("VALIDATION_ERROR", "pageSize must be a whole number from 1");
  }
  const rest = after === "" ? sorted : sorted.filter((name) => name > after);
  const page = rest.slice(0, size);
  const last = page.at(-1);
  return { names: page, ...(rest.length > size && last !== undefined ? { next: last } : {}) };
}

const there = (c: RequestContext): Response | undefined =>
  c.req.raw.method === "HEAD" ? new Response(null, { status: 204 }) : undefined;

/** What holds for the files of all lakes of a warehouse. */
function readingOf(lakes: readonly OpenLake[]): Readonly<Record<string, string>> {
  const [first, ...others] = lakes;
  return Object.fromEntries(
    Object.entries(first?.reading ?? {})
      .filter(([name, value]) => others.every(({ reading }) => reading[name] === value)),
  );
}

/**
 * `GET config`: where the tables of a warehouse are asked for; of the only one unless named. What a reader
 * needs for the files is told here and not with each table, since DuckDB takes what a table says for
 * all there is and forgets the keys that it was given.
 */
export function icebergConfigHandler(context: ServerContext): Handler {
  return async (c) => {
    const lakes = lakesFor(context, await admit(context, c));
    const names = namesOf(lakes);
    const asked = c.req.query("warehouse") || undefined;
    if (names.length === 0 || asked !== undefined && !names.includes(asked)) {
      throw new LakeSyncError(
        "NOT_FOUND",
        names.length === 0
          ? "No destination that the token is for is a lake"
          : `There is no such warehouse, there are ${names.join(", ")}`,
      );
    }
    if (asked === undefined && names.length > 1) {
      throw new LakeSyncError("VALIDATION_ERROR", `Name a warehouse: ${names.join(", ")}`);
    }
    const warehouse = asked ?? names[0];
    return replyJson(c.req.raw, {
      defaults: {
        // Tokens are signed elsewhere, so none can be had here for one that ends.
        "token-refresh-enabled": "false",
        ...readingOf(lakes.filter(({ name }) => name === warehouse)),
      },
      overrides: { prefix: warehouse, "rest-metrics-reporting-enabled": "false" },
      endpoints: ENDPOINTS,
    });
  };
}

/**
 * `POST oauth/tokens`: says that there are none to be had, in the form that clients show to people.
 */
export const icebergTokensHandler: Handler = (c) =>
  replyJson(
    c.req.raw,
    {
      error: "unsupported_grant_type",
      error_description:
        "This catalog signs no tokens, configure a token of role admin instead of a " +
        "credential; lakesync token --role admin prints one",
    },
    {},
    400,
  );

/** `GET namespaces`: the gateways of the warehouse that the token is for. */
export function icebergNamespacesHandler(context: ServerContext): Handler {
  return async (c) => {
    const lakes = await warehouseOf(context, c);
    const parent = c.req.query("parent") || undefined;
    if (parent !== undefined && !lakes.some(({ gatewayId }) => gatewayId === parent)) {
      throw new IcebergNotFound("Namespace", "There is no such namespace, a gateway's id is one");
    }
    const ids = parent === undefined ? lakes.map(({ gatewayId }) => gatewayId) : [];
    const { names, next = null } = pageOf(c, ids);
    return replyJson(c.req.raw, {
      namespaces: names.map((name) => [name]),
      "next-page-token": next,
    });
  };
}

/** `GET namespaces/:namespace`; HEAD answers 204 where there is one. */
export function icebergNamespaceHandler(context: ServerContext): Handler {
  return async (c) => {
    const { gatewayId } = await lakeOf(context, c);
    return there(c) ?? replyJson(c.req.raw, { namespace: [gatewayId], properties: {} });
  };
}

/** `GET namespaces/:namespace/tables`. */
export function icebergTablesHandler(context: ServerContext): Handler {
  return async (c) => {
    const { catalog, gatewayId, namespace } = await lakeOf(context, c);
    const tables = await read(catalog.list(namespace));
    const { names, next = null } = pageOf(c, tables.map(({ name }) => name));
    return replyJson(c.req.raw, {
      identifiers: names.map((name) => ({ namespace: [gatewayId], name })),
      "next-page-token": next,
    });
  };
}

/** Metadata with the snapshots that branches and tags name alone, where only those are asked for. */
function wanted(
  metadata: LoadedTable["metadata"],
  snapshots: string | undefined,
): LoadedTable["metadata"] {
  if (snapshots !== "refs" || metadata.snapshots === undefined) return metadata;
  const named = new Set(Object.values(metadata.refs ?? {}).map((ref) => ref["snapshot-id"]));
  return {
    ...metadata,
    snapshots: metadata.snapshots.filter((snapshot) => named.has(snapshot["snapshot-id"])),
  };
}

function etagOf({ metadataLocation }: LoadedTable, snapshots: string | undefined): string {
  const mode = snapshots === "refs" ? "refs" : "all";
  return `W/"${encodeURIComponent(metadataLocation)};${mode}"`;
}

/** `GET namespaces/:namespace/tables/:table`; HEAD answers 204 where there is one. */
export function icebergTableHandler(context: ServerContext): Handler {
  return async (c) => {
    const { catalog, namespace, write } = await lakeOf(context, c);
    const name = c.req.param("table") ?? "";
    const loaded = await read(catalog.load({ namespace, name }));
    if (loaded === undefined) {
      throw new IcebergNotFound("Table", "There is no such table, LakeSync makes it with a flush");
    }
    const head = there(c);
    if (head !== undefined) return head;
    const snapshots = c.req.query("snapshots");
    const etag = etagOf(loaded, snapshots);
    if (c.req.header("If-None-Match") === etag) {
      return new Response(null, { status: 304, headers: { ETag: etag } });
    }
    const fields = [
      `"metadata-location":${JSON.stringify(loaded.metadataLocation)}`,
      `"metadata":${write(wanted(loaded.metadata, snapshots))}`,
    ];
    return reply(c.req.raw, CONTENT_TYPE.json, `{${fields.join(",")}}`, { ETag: etag });
  };
}
