/**
 * What a run leaves behind for its checkers: everything that happened, in order, as plain data, and
 * how everything stood at the end. No checker reads anything else, and nothing here is taken from
 * what the checked code says of itself but its answers.
 *
 * Each transaction of the workload inserts one row into `marks` and one into `twins`, both with the
 * transaction's name as key and in the same list, and does whatever else it does in that list. So
 * the names in the two tables tell which transactions are visible, and whether whole.
 *
 * @module
 */

/** A transaction of the workload: unlike any other in the run, `<device>.<n>` with n from 1. */
export type TxName = string;

/** A change within a transaction, in the app's terms. */
export interface Write {
  /** The table. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
  /** What was done. */
  readonly op: "INSERT" | "UPDATE" | "DELETE";
  /** The columns it wrote; a counter's is what was added. */
  readonly columns: Readonly<Record<string, unknown>>;
}

/** A read of a key of the list-append workload: all elements seen, in order. */
export interface ListRead {
  /** The key. Only one device appends to a key. */
  readonly key: string;
  /** The elements, in the order of the list. */
  readonly elements: readonly number[];
}

/** An append of the list-append workload. */
export interface ListAppend {
  /** The key. */
  readonly key: string;
  /** The element; the elements of a key are appended in ascending order. */
  readonly element: number;
}

/** What happened. Times are virtual, in milliseconds since the run began. */
export type HistoryEvent =
  & { readonly atMs: number }
  & (
    /** A device is about to run a transaction: from here on it may be committed. */
    | {
      readonly kind: "begin";
      readonly tx: TxName;
      readonly device: string;
      readonly user: string;
      /** The list that all its rows are in. */
      readonly list: string;
      readonly writes: readonly Write[];
      readonly appends: readonly ListAppend[];
    }
    /** The device's database has committed it. */
    | {
      readonly kind: "commit";
      readonly tx: TxName;
      readonly device: string;
      /** Transactions that were visible to it when it was begun, its own device's too. */
      readonly saw: readonly TxName[];
      /** Lists that it read, before its own appends. */
      readonly reads: readonly ListRead[];
    }
    /** It was rolled back by the app, or its statement failed. */
    | { readonly kind: "abort"; readonly tx: TxName; readonly device: string }
    /** An answer left the gateway that says that the transaction is accepted. */
    | { readonly kind: "acknowledged"; readonly tx: TxName; readonly clientId: string }
    /** An answer left the gateway that says that it is refused. */
    | {
      readonly kind: "refused";
      readonly tx: TxName;
      readonly clientId: string;
      readonly code: string;
    }
    /** A device's tables were read, all in one snapshot. */
    | {
      readonly kind: "read";
      readonly device: string;
      readonly user: string;
      readonly marks: readonly TxName[];
      readonly twins: readonly TxName[];
      /** Lists of which it has any row. */
      readonly lists: readonly string[];
      /**
       * Transactions of this device whose outcome it does not know yet, and those of the device that
       * its database is a copy of: the answer may have gone to the other one.
       */
      readonly pending: readonly TxName[];
      readonly elements: readonly ListRead[];
    }
    /** A user became a member of a list (by the log's order), or no longer is one. */
    | {
      readonly kind: "member" | "unmember";
      readonly user: string;
      readonly list: string;
    }
    /** A device lost its database, or went back to an older copy of it. */
    | {
      readonly kind: "forgot";
      readonly device: string;
      /** Its transactions that nobody else may have. */
      readonly txs: readonly TxName[];
    }
    /** The gateway went back to an older copy of its data, and began an epoch where one is told. */
    | { readonly kind: "restored"; readonly gateway: string; readonly epoch?: string }
    /** A gateway was opened again, and its log lacks transactions that it had. */
    | { readonly kind: "lost"; readonly gateway: string; readonly txs: readonly TxName[] }
    /** A fault fired. */
    | { readonly kind: "fault"; readonly fault: string; readonly detail?: string }
    /** No fault fires and no transaction is begun from here on. */
    | { readonly kind: "healed" }
    /** A device has nothing left to send and has what the gateway has. */
    | { readonly kind: "settled"; readonly device: string }
  );

/** A row of an app's table: its visible cells by column. */
export type Cells = Readonly<Record<string, unknown>>;

/** Tables by name, rows by rowId. */
export type TableRows = Readonly<Record<string, Readonly<Record<string, Cells>>>>;

/** A device at the end. */
export interface DeviceEnd {
  readonly device: string;
  readonly user: string;
  /** Its gateway; needs not be told where there is one only. */
  readonly gateway?: string;
  /** Under which name its gateway's `expected` has what it is to see; its user's unless told. */
  readonly view?: string;
  /** Whether it settled in time, or knows of nothing that it lacks: then its rows are to be right. */
  readonly settled: boolean;
  /** What its status said, for the report of one that did not settle. */
  readonly status: string;
  /** What the app's tables hold. */
  readonly tables: TableRows;
  /**
   * Transactions of which it was told that they were refused; not there where another device has a
   * copy of its database, since one of the two may then hear it alone.
   */
  readonly letters?: readonly TxName[];
}

/** A transaction in the gateway's log, or as a destination has it. */
export interface LoggedTx {
  readonly tx: TxName;
  readonly seq: number;
  readonly clientId: string;
  readonly mutationId: number;
  /** The identities of its deltas, in order. */
  readonly deltaIds: readonly string[];
}

/** A destination at the end. */
export interface DestinationEnd {
  readonly name: string;
  /** Every change it holds, in the order it was written. */
  readonly deltaIds: readonly string[];
  /** Rows as it has them, by table and rowId, where it keeps rows. */
  readonly tables?: TableRows;
}

/** A gateway at the end. */
export interface GatewayEnd {
  readonly gateway: string;
  /** Everything in its log, in order. */
  readonly log: readonly LoggedTx[];
  /** What each user is to see, by the rules as plain SQL over the log merged by reference code. */
  readonly expected: Readonly<Record<string, TableRows>>;
  readonly destinations: readonly DestinationEnd[];
}

/** A run. */
export interface History {
  readonly seed: number;
  readonly events: readonly HistoryEvent[];
  readonly devices: readonly DeviceEnd[];
  readonly gateways: readonly GatewayEnd[];
  /** How long devices may take to settle after `healed`, in milliseconds. */
  readonly settleWithinMs: number;
}

/** What a checker found to be wrong. */
export interface Violation {
  /** The checker's name, which is the guarantee it holds. */
  readonly checker: string;
  /** What is wrong, with the names of transactions, devices and rows. */
  readonly what: string;
}

/** Looks for one kind of violation. */
export type Checker = (history: History) => readonly Violation[];
