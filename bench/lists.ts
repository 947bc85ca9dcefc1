/**
 * What the benchmarks of rules share: lists with members, rows of five columns on them, and pushes
 * by several connections at once.
 *
 * @module
 */

import { decodePushResult, type Delta, PROTOBUF_TYPE, type RulesSpec } from "@lakesync/core";
import { RawConnection, toRequest } from "./raw_http.ts";
import { type BenchServer, encodeTransactions } from "./support.ts";

/** Members of lists, and rows of a key and five columns. */
export const LISTS = {
  version: 1,
  tables: {
    members: { primaryKey: ["id"], columns: { id: "string", user: "string", list: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        owner: "string",
        list: "string",
        title: "string",
        body: "string",
        n: "integer",
      },
    },
  },
} as const;

const OF_CALLER = { column: "user", op: "eq", value: "jwt:sub" } as const;
const MINE = { column: "owner", op: "eq", value: "jwt:sub" } as const;

/** Everybody's own rows, and those of the lists that a membership names; written likewise. */
export const LISTS_RULES: RulesSpec = {
  buckets: [
    { name: "mine", tables: ["todos"], filters: [MINE] },
    {
      name: "by_list",
      parameters: { list: { from: "members", column: "list", filters: [OF_CALLER] } },
      tables: [{ table: "todos", key: "list" }],
    },
  ],
  write: [{
    tables: ["todos"],
    ops: ["INSERT", "UPDATE", "DELETE"],
    filters: [{ column: "list", op: "in", value: "param:list" }],
  }],
  exempt: ["admin"],
};

/** {@linkcode LISTS_RULES} without those of lists. */
export const OWNERS_RULES: RulesSpec = {
  buckets: LISTS_RULES.buckets.slice(0, 1),
  write: [{ tables: ["todos"], ops: ["INSERT", "UPDATE", "DELETE"], filters: [MINE] }],
  exempt: ["admin"],
};

const COLUMNS = ["owner", "list", "title", "body", "n"];

/** A membership that comes. */
export function membership(
  server: BenchServer,
  id: string,
  user: string,
  list: string,
): Delta {
  return {
    shape: { op: "INSERT", table: "members", columns: ["user", "list"] },
    rowId: id,
    hlc: server.clock.tick(),
    values: [user, list],
    deltaId: undefined,
  };
}

/** A row that comes. */
export function todo(
  server: BenchServer,
  id: string,
  owner: string,
  list: string,
  n: number = 0,
): Delta {
  return {
    shape: { op: "INSERT", table: "todos", columns: COLUMNS },
    rowId: id,
    hlc: server.clock.tick(),
    values: [owner, list, `Title of ${id}`, "A line of text as notes have it", n],
    deltaId: undefined,
  };
}

/** Pushes transactions of one client that does nothing else. */
export async function pushOnce(
  server: BenchServer,
  gatewayId: string,
  transactions: readonly (readonly Delta[])[],
  token: string = server.token,
): Promise<void> {
  const clientId = `once-${crypto.randomUUID()}`;
  const bodies = transactions.map((deltas, i) =>
    encodeTransactions(clientId, [{ mutationId: i + 1, deltas }])
  );
  await server.pushAll(gatewayId, bodies, token);
}

/** Splits deltas into transactions. */
export function inBatches(deltas: readonly Delta[], size: number): Delta[][] {
  const all: Delta[][] = [];
  for (let from = 0; from < deltas.length; from += size) all.push(deltas.slice(from, from + size));
  return all;
}

/**
 * Pushes transactions by several clients at once, each waiting for its answers.
 *
 * @param clients for each client its transactions
 * @returns deltas per second
 */
export async function pushRate(
  server: BenchServer,
  gatewayId: string,
  token: string,
  clients: readonly (readonly (readonly Delta[])[])[],
): Promise<number> {
  const url = new URL(`${server.url}/v1/sync/${gatewayId}/push`);
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": PROTOBUF_TYPE,
    accept: PROTOBUF_TYPE,
  };
  let deltas = 0;
  const requests = clients.map((transactions) => {
    const clientId = crypto.randomUUID();
    return transactions.map((transaction, i) => {
      deltas += transaction.length;
      const body = encodeTransactions(clientId, [{ mutationId: i + 1, deltas: transaction }]);
      return toRequest(url, headers, body);
    });
  });
  const started = performance.now();
  await Promise.all(requests.map(async (own) => {
    using connection = await RawConnection.open(url);
    for (const request of own) {
      const { rejected: [first] } = decodePushResult(await connection.send(request));
      if (first !== undefined) throw new Error(`A transaction was refused: ${first.message}`);
    }
  }));
  return deltas / ((performance.now() - started) / 1000);
}
