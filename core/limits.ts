/**
 * Every limit of the protocol in one place. Names end in their unit.
 *
 * @module
 */

/** The bounds that gateway and client agree on. */
export interface Limits {
  /** A request body after decompression, and a WebSocket frame. */
  readonly maxBodyBytes: number;
  /** Transactions in one push. */
  readonly maxPushTransactions: number;
  /** Deltas in one push. */
  readonly maxPushDeltas: number;
  /** Deltas of a whole transaction, over all its parts. */
  readonly maxTransactionDeltas: number;
  /** Encoded bytes of a whole transaction, over all its parts. */
  readonly maxTransactionBytes: number;
  /** One column value, encoded. */
  readonly maxValueBytes: number;
  /** A rowId as UTF-8. */
  readonly maxRowIdBytes: number;
  /** Nesting of a `json` value and of a JSON body. */
  readonly maxJsonDepth: number;
  /** Columns of one table. */
  readonly maxColumns: number;
  /** Tables of one schema. */
  readonly maxTables: number;
  /** Rows one client may update before their INSERT arrived. */
  readonly maxOrphanRows: number;
  /** How far ahead of the gateway a stamp may be, in milliseconds. */
  readonly maxClockDriftMs: number;
}

/** The limits that hold unless a gateway is configured otherwise. */
export const DEFAULT_LIMITS: Limits = {
  maxBodyBytes: 16 * 1024 * 1024,
  maxPushTransactions: 1_000,
  maxPushDeltas: 10_000,
  maxTransactionDeltas: 1_000_000,
  maxTransactionBytes: 256 * 1024 * 1024,
  maxValueBytes: 4 * 1024 * 1024,
  maxRowIdBytes: 1_024,
  maxJsonDepth: 64,
  maxColumns: 1_000,
  maxTables: 1_000,
  maxOrphanRows: 1_000,
  maxClockDriftMs: 5_000,
};

/** Rows of one pull page: the least, the default and the most. */
export const PULL_LIMIT = { min: 1, default: 1_000, max: 10_000 } as const;

/** The longest a pull may wait for a change, in seconds. */
export const MAX_WAIT_SECONDS = 30;
