/**
 * A server that is tried, and a client beside whose pushes must arrive whatever else is sent.
 *
 * @module
 */

import { memoryStores, type RunningServer, startServer } from "@lakesync/server";
import assert from "node:assert/strict";
import { Api, type Json } from "./http_api.ts";
import { AUDIENCE, BAD, GOOD, ISSUER, SECRET } from "./http_tokens.ts";

/** The schema of the gateways. */
export const SCHEMA: Json = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        done: "boolean",
        due: "timestamp",
        data: "bytes",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
      },
    },
    lists: { primaryKey: ["a", "b"], columns: { a: "string", b: "integer", name: "string" } },
  },
};

/** A schema that may follow it. */
export const NEXT_SCHEMA: Json = {
  version: 2,
  tables: { ...SCHEMA.tables, notes: { primaryKey: ["id"], columns: { id: "uuid" } } },
};

/** The gateway of the client beside. */
const BESIDE = "beside";
/** The gateway that is tried most; it has a schema. */
export const TRIED = "tried";
/** Gateways that are tried: one with a schema, one without, one that is not there. */
export const GATEWAYS: readonly string[] = [
  TRIED,
  TRIED,
  TRIED,
  TRIED,
  TRIED,
  "default",
  "nowhere",
];

/** Tokens of every kind, made once. */
const TOKENS: ReadonlyMap<string, string> = new Map(
  await Promise.all(
    Object.entries({ ...GOOD, ...BAD }).map(async ([kind, make]): Promise<[string, string]> => [
      kind,
      await make(),
    ]),
  ),
);

/** A token of a kind. */
export function tokenOf(kind: string): string {
  const found = TOKENS.get(kind);
  assert.ok(found !== undefined, kind);
  return found;
}

/** A server that is tried. */
export interface World {
  /** Where it listens. */
  readonly port: number;
  /** Commits one more row of the client beside. */
  besides(): Promise<void>;
  /** How many live connections the server counts to a gateway. */
  connections(gatewayId: string): Promise<number>;
}

function start(): Promise<RunningServer> {
  return startServer({
    stores: memoryStores(),
    trust: { secrets: [SECRET], audience: AUDIENCE, issuer: ISSUER },
    port: 0,
    openAccess: true,
    checkpointMinRows: 1,
  });
}

/** What a server says of itself. */
export const API: Api = await (async () => {
  const server = await start();
  const document = await (await fetch(`${server.url}/openapi.json`)).json();
  await server.close();
  return new Api(document);
})();

async function call(url: string, kind: string, method: string, body?: object) {
  const response = await fetch(url, {
    method,
    headers: { "Authorization": `Bearer ${tokenOf(kind)}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

/** Counts rejections that nobody handled while something runs. */
async function withoutLostErrors(run: () => Promise<void>): Promise<void> {
  const lost: unknown[] = [];
  const onLost = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    lost.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", onLost);
  try {
    await run();
  } finally {
    globalThis.removeEventListener("unhandledrejection", onLost);
  }
  assert.deepEqual(lost, [], "An error was lost");
}

/**
 * Runs something against a server of its own; afterwards the server must serve as before and have
 * every row of the client beside.
 *
 * @param run what is tried
 */
export async function tried(run: (world: World) => Promise<void>): Promise<void> {
  await withoutLostErrors(async () => {
    const server = await start();
    try {
      const { url, port } = server;
      await call(`${url}/v1/admin/schema/${TRIED}`, "admin", "PUT", SCHEMA);
      await call(`${url}/v1/admin/schema/${BESIDE}`, "admin", "PUT", SCHEMA);
      let rows = 0;
      const besides = async () => {
        const mutationId = ++rows;
        const columns = { title: `Row ${mutationId}` };
        const delta = { op: "INSERT", table: "todos", rowId: `r${mutationId}`, columns };
        const answer = await call(`${url}/v1/sync/${BESIDE}/push`, "client", "POST", {
          clientId: "beside",
          schemaVersion: 1,
          transactions: [{ mutationId, deltas: [delta] }],
        });
        assert.deepEqual([answer.lastMutationId, answer.rejected], [mutationId, []]);
      };
      await besides();
      await run({
        port,
        besides,
        connections: async (gatewayId) =>
          (await call(`${url}/v1/admin/stats/${gatewayId}`, "admin", "GET")).connections,
      });
      await besides();
      const pull = `${url}/v1/sync/${BESIDE}/pull?clientId=beside`;
      const { changes, lastMutationId } = await call(pull, "client", "GET");
      assert.equal(lastMutationId, rows);
      const ids: string[] = changes.map(({ rowId }: { rowId: string }) => rowId);
      assert.deepEqual(ids.toSorted(), Array.from({ length: rows }, (_, i) => `r${i + 1}`).sort());
      await call(`${url}/v1/sync/${TRIED}/push`, "client", "POST", {
        clientId: "afterwards",
        transactions: [],
      });
    } finally {
      await server.close();
    }
  });
}
