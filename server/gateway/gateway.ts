/**
 * A gateway as the outside of the domain sees it: HTTP, WebSocket and command line call this and
 * nothing deeper. It stands on ports only (`Store`, `GatewayEnvironment`) and runs on any runtime.
 *
 * @module
 */

import type {
  Limits,
  PullRequest,
  PullResult,
  PushRequest,
  PushResult,
  Schema,
  SchemaSpec,
} from "@lakesync/core";

/** Who calls, by a token that was verified. */
export interface Caller {
  /** The user. */
  readonly sub: string;
  /** Whether the token's role is admin. */
  readonly admin: boolean;
  /** Every claim of the token. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A request's Idempotency-Key and how to keep its answer. */
export interface Idempotency {
  /** Sub, gateway, path and key in one text. */
  readonly key: string;
  /** A hash of the request's body. */
  readonly bodyHash: string;
  /** Writes the answer as it is to be replayed. */
  readonly render: (result: PushResult) => string;
}

/** What a push came to: an answer, or the kept answer of an equal request. */
export type PushOutcome =
  | { readonly result: PushResult; readonly replayed?: undefined }
  | { readonly result?: undefined; readonly replayed: string };

/** What `GET /v1/admin/stats/:gatewayId` answers, without connections and destinations. */
export interface GatewayStats {
  /** The gateway. */
  readonly gatewayId: string;
  /** One unbroken life of its data. */
  readonly epoch: string;
  /** Its last commit number. */
  readonly seq: number;
  /** The version of its schema, 0 without one. */
  readonly schemaVersion: number;
  /** Clients it knows. */
  readonly clients: number;
  /** Visible rows by table. */
  readonly tables: { readonly [table: string]: { readonly rows: number } };
  /** The size of its log. */
  readonly log: { readonly entries: number; readonly bytes: number };
}

/** Told after a commit: the new seq, whether rows changed, and whose transactions it contains. */
export type CommitListener = (commit: {
  /** The head's seq. */
  readonly seq: number;
  /** Whether any row in a bucket changed. */
  readonly changed: boolean;
  /** The clients whose lastMutationId advanced. */
  readonly clientIds: ReadonlySet<string>;
}) => void;

/** One isolated sync space. */
export interface Gateway {
  /** Its id. */
  readonly id: string;
  /** Its schema, once one was put. */
  readonly schema: Schema | undefined;
  /** The limits it holds. */
  readonly limits: Limits;
  /** Milliseconds since 1970, by the gateway's clock. */
  now(): number;
  /**
   * Commits a client's transactions and answers when they are durable.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `SCHEMA_ERROR` (no schema yet),
   * `CLIENT_NOT_YOURS`, `MUTATION_GAP`, `CLIENT_FORKED`, `PAYLOAD_TOO_LARGE`,
   * `IDEMPOTENCY_MISMATCH`, `BACKPRESSURE`
   */
  push(
    caller: Caller,
    request: PushRequest,
    idempotency?: Idempotency,
  ): Promise<PushOutcome>;
  /**
   * Reads the next page of changes. With `wait` an answer that would be empty is held until there
   * is something, the time is over or the signal aborts.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `CLIENT_NOT_YOURS`, `RESYNC_REQUIRED`
   */
  pull(
    caller: Caller,
    request: PullRequest,
    signal?: AbortSignal,
  ): Promise<PullResult>;
  /** Forgets refusals that a client says it has seen (a live hello; push does it by itself). */
  refusalsSeen(
    caller: Caller,
    clientId: string,
    mutationId: number,
  ): Promise<void>;
  /**
   * Stores a schema. The stored one comes back; the same content again changes nothing.
   *
   * @throws {LakeSyncError} `SCHEMA_ERROR` (invalid, or it would lose data), `SCHEMA_CONFLICT`
   */
  putSchema(spec: unknown): Promise<SchemaSpec>;
  /** Counts, at a cost that does not grow with what is stored. */
  stats(): Promise<GatewayStats>;
  /**
   * Listens to commits.
   *
   * @returns ends the listening
   */
  onCommit(listener: CommitListener): () => void;
  /** Waits for what is under way and closes the store. Later calls fail with `DRAINING`. */
  close(): Promise<void>;
}

/** All gateways of one server. */
export interface Gateways {
  /** A gateway that exists; undefined for one that does not. */
  get(gatewayId: string): Promise<Gateway | undefined>;
  /** A gateway, made when it does not exist. */
  create(gatewayId: string): Promise<Gateway>;
  /** The ids of all gateways, ascending. */
  list(): Promise<readonly string[]>;
  /** Closes all of them, then the stores. */
  close(): Promise<void>;
}
