/**
 * The protocol's messages as plain data. `binary.ts` and `json.ts` write and read them; the
 * contract itself is docs/protocol.md.
 *
 * @module
 */

import type { Hlc } from "../clock.ts";
import type { Transaction } from "../delta.ts";
import type { ChainLink, ErrorCode, RejectionCode, StopCode } from "../errors.ts";
import type { Value } from "../value.ts";

/** What a client sends to have its transactions committed. */
export interface PushRequest {
  /** The database that sends. */
  readonly clientId: string;
  /** The version of the schema that the client writes by. */
  readonly schemaVersion: number;
  /** The transactions in order of their mutationIds. */
  readonly transactions: readonly Transaction[];
  /** The highest mutationId whose refusal the client has stored. */
  readonly refusalsSeen?: number;
  /** Where the client's name comes from, when it had another; with its first transaction. */
  readonly origin?: Origin;
}

/** The name that a client had before a fork, and how far its history under it goes. */
export interface Origin {
  /** The name. */
  readonly clientId: string;
  /** The last transaction under it; 0: none. */
  readonly mutationId: number;
  /** The chain of that transaction; "" when there is none. */
  readonly chain: string;
  /** The chain, under that name, of the first transaction under the new one. */
  readonly next: string;
}

/** A transaction that was refused whole. */
export interface Rejection {
  /** The transaction. */
  readonly mutationId: number;
  /** Why, for a program. */
  readonly code: RejectionCode;
  /** Why, for a person. */
  readonly message: string;
  /** The 0-based index of the delta that was refused. */
  readonly delta: number;
}

/** Where a push stopped, because the client must mend something first. */
export interface Stop {
  /** The first transaction that was not consumed. */
  readonly mutationId: number;
  /** What to mend. */
  readonly code: StopCode;
  /** What to mend, for a person. */
  readonly message: string;
}

/** The answer to a push. */
export interface PushResult {
  /** The last mutationId that was consumed. */
  readonly lastMutationId: number;
  /** Refusals of this push, and earlier ones that the client has not seen. */
  readonly rejected: readonly Rejection[];
  /** Where the push stopped, if it did. */
  readonly stopped?: Stop;
  /** The gateway's commit number. */
  readonly seq: number;
  /** RFC 3339, UTC. */
  readonly serverTime: string;
  /** At least every stamp the gateway has seen. */
  readonly serverHlc: Hlc;
}

/** What a client asks to be brought up to date. */
export interface PullRequest {
  /** The database that asks. */
  readonly clientId: string;
  /** Where the last pull ended; left out: everything in scope. */
  readonly cursor?: string;
  /** Rows of one page, 1 to 10,000. */
  readonly limit?: number;
  /** How long an empty answer may be held, in seconds, at most 30. */
  readonly wait?: number;
  /** The schema version the client has. */
  readonly schemaVersion?: number;
  /** Ids of buckets to be sent whole again, at most {@linkcode MAX_REPAIR_BUCKETS}. */
  readonly repair?: readonly string[];
}

/** What row changes of the same kind share. */
export interface ChangeShape {
  /** PUT: upsert of the cells it carries. REMOVE: the row was deleted or left the scope. */
  readonly op: "PUT" | "REMOVE";
  /** The table's name. */
  readonly table: string;
  /** The names of the columns it carries, without the key's. */
  readonly columns: readonly string[];
  /** Columns whose cells the client may no longer see. */
  readonly unset?: readonly string[];
  /**
   * PUT: indexes into the checkpoint's buckets of all the client's buckets that hold the row now;
   * left out: the first alone. On the pages before the last they mean the list on the last page.
   */
  readonly buckets?: readonly number[];
}

/** One row as a pull brings it. */
export interface RowChange {
  /** Operation, table and columns; one object for all changes of the same kind. */
  readonly shape: ChangeShape;
  /** The row. */
  readonly rowId: string;
  /** One value for each column of the shape. */
  readonly values: readonly Value[];
}

/** A bucket at a checkpoint. */
export interface BucketState {
  /** The bucket's name. */
  readonly id: string;
  /** Rows in it. */
  readonly rows: number;
  /** Their order-free checksum, 0 to 2^32 - 1; left out: this bucket has none. */
  readonly checksum?: number;
  /**
   * The bucket was sent whole in this checkpoint, each of its rows with all cells: a row that the
   * client has in it and that was not mentioned is not in it, and a column that the bucket shows and
   * that the row's first mention does not carry is null.
   */
  readonly whole?: true;
  /** The client is no longer granted it; its rows are 0. */
  readonly gone?: true;
  /**
   * For each table of which the bucket does not show all columns, the names of those it shows,
   * without the key's.
   */
  readonly columns?: { readonly [table: string]: readonly string[] };
}

/** A seq at which a client's base equals the gateway's answer. */
export interface Checkpoint {
  /** The gateway's commit number. */
  readonly seq: number;
  /** The client's buckets. */
  readonly buckets: readonly BucketState[];
}

/** One page of changes. */
export interface PullResult {
  /** The rows that changed. */
  readonly changes: readonly RowChange[];
  /** Where to go on from. */
  readonly cursor: string;
  /** False: more pages follow and nothing is to be shown yet. */
  readonly complete: boolean;
  /** Which of the client's transactions this contains. */
  readonly lastMutationId: number;
  /** The chain of that transaction; left out: it is not known. */
  readonly chain?: string;
  /** At least every stamp in it. */
  readonly serverHlc: Hlc;
  /** On the last page. */
  readonly checkpoint?: Checkpoint;
}

/** An error as callers get it. */
export interface ErrorBody {
  /** What happened and what to do. */
  readonly error: string;
  /** The code a program decides on. */
  readonly code: ErrorCode;
  /** Finds the request in the gateway's log. */
  readonly requestId: string;
  /** The last mutationId consumed (`MUTATION_GAP`, `CLIENT_FORKED`). */
  readonly lastMutationId?: number;
  /** Where a client's history leaves the gateway's (`CLIENT_FORKED`). */
  readonly mutationId?: number;
  /** Links of the gateway's chain (`CLIENT_FORKED`). */
  readonly links?: readonly ChainLink[];
  /** The name that a client is to go back to (`CLIENT_FORKED`). */
  readonly clientId?: string;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterSeconds?: number;
}

/** The first frame of a client. */
export interface Hello {
  /** The database that connects. */
  readonly clientId: string;
  /** Where its base is; left out: it has nothing yet. */
  readonly cursor?: string;
  /** The schema version it has. */
  readonly schemaVersion: number;
  /** The highest mutationId whose refusal it has stored. */
  readonly refusalsSeen?: number;
  /** Ids of buckets to be sent whole again, at most {@linkcode MAX_REPAIR_BUCKETS}. */
  readonly repair?: readonly string[];
}

/** What a client may send over a WebSocket. */
export type ClientFrame =
  | { readonly type: "hello"; readonly hello: Hello }
  | { readonly type: "push"; readonly push: PushRequest }
  | { readonly type: "pull"; readonly pull: PullRequest }
  | { readonly type: "ack"; readonly cursor: string }
  | { readonly type: "token"; readonly jwt: string }
  | { readonly type: "ping" };

/** What the gateway may send over a WebSocket. */
export type ServerFrame =
  | {
    readonly type: "welcome";
    readonly serverTime: string;
    readonly limits: { readonly [name: string]: number };
  }
  | { readonly type: "pushResult"; readonly result: PushResult }
  | { readonly type: "changes"; readonly result: PullResult }
  | { readonly type: "rejected"; readonly rejected: readonly Rejection[] }
  | { readonly type: "resync"; readonly reason: string }
  | { readonly type: "error"; readonly error: ErrorBody }
  | { readonly type: "pong"; readonly serverTime: string }
  | { readonly type: "draining" };

/** Buckets that one pull or hello may ask to be sent whole again. */
export const MAX_REPAIR_BUCKETS = 100;

/** The length of a bucket's id, in UTF-16 code units. */
export const MAX_BUCKET_ID_LENGTH = 8_192;

/** Buckets of a client that may hold one row. */
export const MAX_ROW_BUCKETS = 10_000;

const CLIENT_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const GATEWAY_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/**
 * Tells whether a text can name a client.
 *
 * @param id a text
 * @returns whether it is 1 to 128 letters, digits, `.`, `_`, `:` or `-`, a letter or digit first
 */
export function isClientId(id: unknown): id is string {
  return typeof id === "string" && CLIENT_ID.test(id);
}

/**
 * Tells whether a text can name a gateway.
 *
 * @param id a text
 * @returns whether it is 1 to 64 letters, digits, `_` or `-`, a letter or digit first
 */
export function isGatewayId(id: unknown): id is string {
  return typeof id === "string" && GATEWAY_ID.test(id);
}
