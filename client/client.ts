/**
 * The client: a local database and the loop that keeps it in step with a gateway.
 *
 * @module
 */

import { LakeSyncError, type SchemaSpec } from "@lakesync/core";
import type { SqliteDriver } from "./database/driver.ts";
import { type ClientEnvironment, runtimeEnvironment } from "./environment.ts";
import { type LocalDatabase, openLocal } from "./local.ts";
import type { Replica } from "./replica.ts";
import { StatusValue, type Subscribable, type SyncStatus } from "./status.ts";
import { Sync } from "./sync.ts";
import type { GetToken } from "./transport/token.ts";
import type { Verified } from "./verify.ts";

/** How to make a client. */
export interface ClientOptions<S extends SchemaSpec = SchemaSpec> {
  /** The server, for instance `https://sync.example.com`. */
  readonly url: string;
  /** The gateway's id. */
  readonly gateway: string;
  /** The SQLite file, made when it is not there, or `:memory:`. */
  readonly database: string;
  /** The tables that are synced. The app may have others beside them. */
  readonly schema: S;
  /**
   * Gives a token that the app's own backend signed. Asked for once, and again when the gateway
   * refuses the one it has.
   */
  readonly getToken: GetToken;
  /** Whether to begin syncing at once; true unless given. */
  readonly autoStart?: boolean;
  /** Days for which accepted transactions are kept, so that a gateway restored from a backup can
   * be given back what it lost; 7 unless given. */
  readonly keepAcceptedDays?: number;
  /** The time between two comparisons of many rows with the gateway's checksums, in milliseconds;
   * ten minutes unless given. Few rows are compared after each checkpoint. */
  readonly verifyEveryMs?: number;
  /** Captures rows that were in a table before it was synced for the first time. */
  readonly captureExisting?: boolean;
  /** How often commits of other connections to the file are looked for, in milliseconds; 100 unless
   * given, 0: never. */
  readonly watchMs?: number;
  /** Opens SQLite, in place of the runtime's own binding. */
  readonly driver?: SqliteDriver;
  /** Clock, randomness, timers and network, in place of the runtime's. */
  readonly environment?: Partial<ClientEnvironment>;
}

/** A local database that is kept in step with a gateway. */
export interface Client<S extends SchemaSpec = SchemaSpec>
  extends Omit<LocalDatabase<S>, Exclude<keyof Replica, "seal">>, AsyncDisposable {
  /** This database's name at the gateway. */
  clientId(): Promise<string>;
  /** Where it stands; can be read and watched. */
  readonly status: Subscribable<SyncStatus>;
  /** Holds sending and receiving, for instance during an app's own bulk work. Writes are captured. */
  pause(): void;
  /** Goes on; also after a refusal or for want of a token, which is asked for anew. */
  resume(): void;
  /**
   * Resolves when everything written here so far has been accepted or refused, and a checkpoint
   * contains it.
   *
   * @param signal gives up waiting
   * @throws {LakeSyncError} `AUTH_ERROR` when a token is needed, `DRAINING` when it is closed
   */
  synced(signal?: AbortSignal): Promise<void>;
  /**
   * Compares the rows here with the gateway's checksums now, and fetches again what differs.
   *
   * @returns what was found; undefined before the first checkpoint
   */
  verify(): Promise<Verified | undefined>;
  /** Stops syncing and closes the database. */
  close(): Promise<void>;
}

/**
 * Opens a local database and keeps it in step with a gateway.
 *
 * @param options which database, which gateway, which tables
 * @returns the client; the database can be used at once, online or not
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the schema does not fit the database
 *
 * @example
 * ```ts
 * import { createClient, defineSchema } from "@lakesync/client";
 *
 * const client = await createClient({
 *   url: "http://127.0.0.1:8787",
 *   gateway: "default",
 *   database: ":memory:",
 *   schema: defineSchema({
 *     version: 1,
 *     tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
 *   }),
 *   getToken: () => "a token from your backend",
 *   autoStart: false,
 * });
 * await client.exec("INSERT INTO todos VALUES (?, ?)", ["t1", "Buy milk"]);
 * console.assert((await client.tables.todos.get("t1"))?.title === "Buy milk");
 * await client.close();
 * ```
 */
export async function createClient<const S extends SchemaSpec>(
  options: ClientOptions<S>,
): Promise<Client<S>> {
  const { database, schema, keepAcceptedDays, captureExisting, environment } = options;
  const { watchMs, driver } = options;
  checkUrl(options.url);
  const env = { ...runtimeEnvironment(), ...environment };
  const local = await openLocal<S>({
    database,
    schema,
    ...(keepAcceptedDays === undefined ? {} : { keepAcceptedDays }),
    ...(captureExisting === undefined ? {} : { captureExisting }),
    ...(watchMs === undefined ? {} : { watchMs }),
    ...(driver === undefined ? {} : { driver }),
    ...(environment?.now === undefined ? {} : { now: environment.now }),
    ...(environment?.random === undefined ? {} : { random: environment.random }),
    ...(environment?.setTimer === undefined ? {} : { timer: environment.setTimer }),
  });
  const status = new StatusValue();
  const { url, gateway, getToken } = options;
  const { verifyEveryMs } = options;
  const sync = new Sync({
    env,
    replica: local,
    url,
    gateway,
    getToken,
    status,
    ...(verifyEveryMs === undefined ? {} : { verifyEveryMs }),
  });
  if (options.autoStart !== false) sync.resume();
  return assemble(local, sync, status);
}

function checkUrl(url: string): void {
  if (/^https?:\/\/[^\s]+$/.test(url)) return;
  throw new LakeSyncError("VALIDATION_ERROR", "url must begin with http:// or https://");
}

function assemble<S extends SchemaSpec>(
  local: LocalDatabase<S>,
  sync: Sync,
  status: StatusValue,
): Client<S> {
  const close = async () => {
    // Both at once: a step of the loop may be waiting for a transaction that the app left open.
    await Promise.all([sync.close(), local.close()]);
  };
  return {
    tables: local.tables,
    status,
    query: (sql, params) => local.query(sql, params),
    exec: (sql, params) => local.exec(sql, params),
    transaction: (work) => local.transaction(work),
    live: (sql, params, onRows) => local.live(sql, params, onRows),
    seal: () => local.seal(),
    pendingOf: (table, rowId) => local.pendingOf(table, rowId),
    pendingCount: () => local.pendingCount(),
    blockedRows: () => local.blockedRows(),
    deadLetters: () => local.deadLetters(),
    dismiss: (id) => local.dismiss(id),
    retry: (id, edit) => local.retry(id, edit),
    onRejected: (listener) => local.onRejected(listener),
    check: () => local.check(),
    clientId: async () => (await local.state()).clientId,
    pause: () => sync.pause(),
    resume: () => sync.resume(),
    synced: (signal) => synced(local, status, signal),
    verify: () => sync.verify(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Waits for the status to say that a checkpoint contains what was sealed when it was called. */
async function synced(
  replica: Replica,
  status: StatusValue,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { clientId } = await replica.state();
  const target = await replica.seal();
  for (;;) {
    const changed = nextChange(status, signal);
    try {
      const state = await replica.state();
      const contained = state.clientId === clientId ? target : state.highestMutationId;
      if (state.lastMutationId >= contained && state.settledMutationId >= contained) return;
      checkHope(status.value);
      await changed.promise;
    } finally {
      changed.stop();
    }
  }
}

function checkHope({ state, lastError }: SyncStatus): void {
  if (state === "closed") throw new LakeSyncError("DRAINING", "The client is closed");
  if (state === "needs-token") {
    throw new LakeSyncError("AUTH_ERROR", lastError?.message ?? "The gateway needs a new token");
  }
}

function nextChange(status: StatusValue, signal: AbortSignal | undefined) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  let first = true;
  const unsubscribe = status.subscribe(() => {
    if (!first) resolve();
    first = false;
  });
  const abort = () => reject(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  return {
    promise,
    stop: () => {
      unsubscribe();
      signal?.removeEventListener("abort", abort);
    },
  };
}
