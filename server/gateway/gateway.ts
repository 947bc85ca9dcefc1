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
  RulesSpec,
  Schema,
  SchemaSpec,
} from "@lakesync/core";
import type { CursorStore } from "./cursors.ts";
import type { Follower } from "./followers.ts";
import type { GatewayHistory } from "./history.ts";
import type { CheckpointRequest, CheckpointStream } from "./checkpoint.ts";

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

/** Told after a commit: the new seq, the buckets it changed, and whose transactions it contains. */
export type CommitListener = (commit: {
  /** The head's seq. */
  readonly seq: number;
  /** The ids, within the gateway, of the buckets in which a row changed. */
  readonly buckets: ReadonlySet<string>;
  /** The clients whose lastMutationId advanced. */
  readonly clientIds: ReadonlySet<string>;
  /** The size of what the log has got, in bytes, where that is known. */
  readonly bytes?: number;
  /** How many changes the log has got, where that is known. */
  readonly changes?: number;
  /** Whether anyone may be concerned: schema or rules are others. */
  readonly everything?: boolean;
}) => void;

/** A page of changes, and what it depends on. */
export interface ScopedPull {
  /** The page. */
  readonly result: PullResult;
  /** The ids, within the gateway, of the buckets whose change may give the caller something new. */
  readonly watched: ReadonlySet<string>;
}

/** The rules of a gateway. */
export interface RulesState {
  /** The rules that hold; undefined when none were put. */
  readonly rules: RulesSpec | undefined;
  /** Rules that were put and hold as soon as all rows are placed by them. */
  readonly building: RulesSpec | undefined;
}

/** What to explain: whether a user sees a row and may write it. */
export interface ExplainRequest {
  /** The claims of the user's token, `sub` among them. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** The table. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
}

/** Why a user sees a row or not, and may write it or not. */
export interface RowExplanation {
  /** Whether the row is there. */
  readonly exists: boolean;
  /** Whether the user sees it. */
  readonly visible: boolean;
  /** Whether the user may write it as it is, by operation. */
  readonly writable: Readonly<Record<"INSERT" | "UPDATE" | "DELETE", boolean>>;
  /** The reasons, line by line. */
  readonly lines: readonly string[];
}

/** One isolated sync space. */
export interface Gateway {
  /** Its id. */
  readonly id: string;
  /** Its schema, once one was put. */
  readonly schema: Schema | undefined;
  /** The limits it holds. */
  readonly limits: Limits;
  /** Its log, as destinations read it. */
  readonly history: GatewayHistory;
  /** How far sources and destinations are. */
  readonly cursors: CursorStore;
  /** Milliseconds since 1970, by the gateway's clock. */
  now(): number;
  /**
   * Commits a client's transactions and answers when they are durable. A signal that aborts before
   * their commit has begun takes them back; from then on it changes nothing.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `SCHEMA_ERROR` (no schema yet),
   * `CLIENT_NOT_YOURS`, `MUTATION_GAP`, `CLIENT_FORKED`, `PAYLOAD_TOO_LARGE`,
   * `IDEMPOTENCY_MISMATCH`, `BACKPRESSURE`
   */
  push(
    caller: Caller,
    request: PushRequest,
    idempotency?: Idempotency,
    signal?: AbortSignal,
  ): Promise<PushOutcome>;
  /**
   * Reads the next page of changes. With `wait` an answer that would be empty is held until there
   * is something, the time is over or `stopping` aborts; when `signal` aborts there is no answer.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `CLIENT_NOT_YOURS`, `RESYNC_REQUIRED`, `FORBIDDEN`
   * (the gateway has no rules)
   */
  pull(
    caller: Caller,
    request: PullRequest,
    stopping?: AbortSignal,
    signal?: AbortSignal,
  ): Promise<PullResult>;
  /**
   * Reads the next page of changes, without waiting, and tells which commits may bring another.
   *
   * @throws {LakeSyncError} what `pull` throws
   */
  pullScoped(caller: Caller, request: PullRequest): Promise<ScopedPull>;
  /**
   * Begins to stream the large buckets of a first pull, from chunks that are built once for all
   * clients. The client pulls on from the cursor at its end.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`, `CLIENT_NOT_YOURS`, `FORBIDDEN`, `SCHEMA_CONFLICT`,
   * `BACKPRESSURE`, `DRAINING`
   */
  checkpoint(caller: Caller, request: CheckpointRequest): Promise<CheckpointStream>;
  /** Forgets refusals that a client says it has seen (a live hello; push does it by itself). */
  refusalsSeen(
    caller: Caller,
    clientId: string,
    mutationId: number,
  ): Promise<void>;
  /**
   * Stores a schema. The stored one comes back; the same content again changes nothing.
   *
   * @param spec the schema
   * @param force whether clients that are still there may lose what it drops or widens
   * @throws {LakeSyncError} `SCHEMA_ERROR` (invalid, or it would lose data), `SCHEMA_CONFLICT`
   */
  putSchema(spec: unknown, force?: boolean): Promise<SchemaSpec>;
  /** The rules. */
  rules(): Promise<RulesState>;
  /**
   * Stores rules. They hold when all rows have been placed by them, which happens beside reads and
   * writes; until then the rules before hold.
   *
   * @param spec the rules
   * @param waitMs how long to wait until they hold, in milliseconds
   * @returns the rules that hold then, and those still being built
   * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message; `SCHEMA_ERROR` when
   * the gateway has no schema yet
   */
  putRules(spec: unknown, waitMs?: number): Promise<RulesState>;
  /**
   * Opens and closes tables to clients as its environment says now; it holds when this resolves,
   * unless rows have to be placed anew, which takes longer.
   *
   * @param waitMs how long to wait until it holds, in milliseconds
   */
  refreshTables(waitMs?: number): Promise<void>;
  /**
   * Tells why a user sees a row or not, and may write it or not.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR` (no such table), `SCHEMA_ERROR` (no schema yet)
   */
  explain(request: ExplainRequest): Promise<RowExplanation>;
  /**
   * Writes durably, as a commit does, so as to know that it can; nobody else sees it. Of a store that
   * processes share it only reads.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when the disk is full, `INTERNAL_ERROR`, `DRAINING`
   */
  probe(): Promise<void>;
  /** Counts, at a cost that does not grow with what is stored. */
  stats(): Promise<GatewayStats>;
  /**
   * Listens to commits.
   *
   * @returns ends the listening
   */
  onCommit(listener: CommitListener): () => void;
  /**
   * Is told of the commits that may concern one client, at no cost for those that do not.
   *
   * @param clientId the client
   * @param changed told after such a commit
   */
  follow(clientId: string, changed: () => void): Follower;
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
