/**
 * A server on any port with stores in memory, and the requests that tests send to it.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Role } from "./auth/token.ts";
import { signToken } from "./auth/token.ts";
import { descriptionProblems } from "./http/testing_description.ts";
import { type RunningServer, type ServerOptions, startServer } from "./server.ts";
import { memoryStores } from "./store/memory.ts";

/** The secret of test servers. */
export const SECRET = "a secret of at least thirty-two characters";

/** A schema of one table. */
export const SCHEMA = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean" },
    },
  },
} as const;

/** Makes a token of a test server. */
export function tokenFor(
  sub: string,
  gw = "default",
  role: Role = "client",
  ttlSeconds = 3600,
): Promise<string> {
  return signToken({ secret: SECRET, sub, gw, role, ttlSeconds });
}

/** A test server with tokens for it. */
export interface TestServer extends RunningServer {
  /** A client of `default`. */
  readonly alice: string;
  /** Another one. */
  readonly bob: string;
  /** An admin of all gateways. */
  readonly admin: string;
  /**
   * Sends a request with a token; an object as body is sent as JSON. Every answer is held to the
   * OpenAPI description.
   */
  request(
    path: string,
    options?: {
      readonly token?: string;
      readonly method?: string;
      readonly headers?: Record<string, string>;
      readonly body?: BodyInit | object;
    },
  ): Promise<Response>;
  /** Sends a request and reads the answer as JSON. */
  json(
    ...args: Parameters<TestServer["request"]>
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>;
}

function isBody(body: unknown): body is BodyInit {
  return typeof body === "string" || body instanceof Uint8Array ||
    body instanceof ReadableStream;
}

/**
 * Runs a test against a server that is closed afterwards.
 *
 * @param test the test
 * @param schema whether {@linkcode SCHEMA} is put to `default`
 * @param openAccess whether gateways without sync rules are open
 * @param more what else it is started with
 */
export async function withServer(
  test: (server: TestServer) => Promise<void>,
  schema = true,
  openAccess = true,
  more: Partial<ServerOptions> = {},
): Promise<void> {
  const running = await startServer({
    stores: memoryStores(),
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess,
    ...more,
  });
  const request: TestServer["request"] = async (path, options = {}) => {
    const { token, body, headers = {} } = options;
    const raw = isBody(body);
    const method = options.method ?? (body === undefined ? "GET" : "POST");
    const response = await fetch(running.url + path, {
      method,
      redirect: "manual",
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(raw ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    assert.deepEqual(await descriptionProblems(method, running.url + path, response), []);
    return response;
  };
  const server: TestServer = {
    ...running,
    alice: await tokenFor("alice"),
    bob: await tokenFor("bob"),
    admin: await tokenFor("root", "*", "admin"),
    request,
    json: async (...args) => {
      const response = await request(...args);
      return { status: response.status, body: await response.json() };
    },
  };
  try {
    if (schema) {
      const put = await server.request("/v1/admin/schema/default", {
        method: "PUT",
        token: server.admin,
        body: SCHEMA,
      });
      await put.body?.cancel();
    }
    await test(server);
  } finally {
    await running.close();
  }
}

/** A push of one INSERT. */
export function insert(
  clientId: string,
  mutationId: number,
  rowId: string,
  title = "Buy milk",
): object {
  return {
    clientId,
    schemaVersion: 1,
    transactions: [{
      mutationId,
      deltas: [{
        op: "INSERT",
        table: "todos",
        rowId,
        columns: { title, done: false },
      }],
    }],
  };
}
