/**
 * A client that pushes all the time, without a database of its own: what it sent and what was
 * acknowledged is known to the change.
 *
 * @module
 */

import {
  decodeError,
  decodePushResult,
  type Delta,
  deltaIdOf,
  encodePush,
  type Hlc,
  makeHlc,
  parseSchema,
  PROTOBUF_TYPE,
  rowIdOf,
  type Shape,
  type Value,
} from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { SECRET } from "./support_site.ts";
import { cellsOf, largeOf, oneIn, pick, SCHEMA, valueOf } from "./support_flush_values.ts";

const TABLES = parseSchema(SCHEMA).tables;

type TableName = keyof typeof SCHEMA.tables;

/** Rows that all writers write. */
const LISTS: readonly string[] = Array.from({ length: 10 }, (_, i) => `list 🎈 ${i}`);
const ITEMS: readonly string[] = [
  ...["9223372036854775807", "-9223372036854775808", "9007199254740992", "0", "-1"],
  ...Array.from({ length: 120 }, (_, i) => `${i + 1}`),
];
const TALLIES: readonly string[] = Array.from(
  { length: 6 },
  (_, i) => `0188c1f0-5b5e-7cc3-98c4-dc0c0c07390${i}`,
);

/** One transaction in so many has a value of a mebibyte, one in so many more rows than a batch. */
const LARGE_VALUE = 250;
const LARGE_TRANSACTION = 80;
const LARGE_ROWS = 150;
const LARGE_COLUMNS = [["text", "string"], ["blob", "bytes"], ["meta", "json"]] as const;

/** A request that nobody answered is sent again after so long, in milliseconds. */
const AGAIN_MS = 20;

/** One write in so many is stamped long before it is sent, as if it had been made offline. */
const OFFLINE = 10;
const OFFLINE_MS = 60_000;

/** What a change was sent with: `client mutation`. */
export type Sender = string;

/** Writes transactions over all tables of {@linkcode SCHEMA}. */
export class FlushWriter {
  /** All changes that were acknowledged, by their deltaId. */
  readonly acknowledged: Map<string, Sender> = new Map();
  /** How many transactions that were. */
  written = 0;
  /** How long each push took that was answered, in milliseconds. */
  readonly answerMs: number[] = [];
  /** Pushes that nobody answered, and answers that were no acknowledgement. */
  readonly failures: string[] = [];
  readonly #url: () => string;
  readonly #name: string;
  readonly #shapes = new Map<string, Shape>();
  #lastHlc = 0n;
  #hasLarge = true;
  #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  /**
   * @param name the client and the user
   * @param url where the gateway is
   */
  constructor(name: string, url: () => string) {
    this.#name = name;
    this.#url = url;
  }

  /**
   * Writes until {@linkcode FlushWriter.stop}.
   *
   * @param everyMs the mean time between two transactions, in milliseconds
   * @param hasLarge whether some transactions and values are large
   */
  start(everyMs: number, hasLarge: boolean): void {
    this.#hasLarge = hasLarge;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#loop = (async () => {
      while (!signal.aborted) {
        await this.#write();
        await delay(Math.random() * 2 * everyMs);
      }
    })();
  }

  /** Ends once the transaction that is under way is acknowledged. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #write(): Promise<void> {
    const mutationId = this.written + 1;
    const deltas = this.#transaction(mutationId);
    const body = new Uint8Array(encodePush({
      clientId: this.#name,
      schemaVersion: 1,
      transactions: [{ mutationId, deltas }],
    }));
    while (!await this.#push(body, mutationId)) await delay(AGAIN_MS);
    this.written = mutationId;
    for (const { deltaId } of deltas) {
      if (deltaId !== undefined) this.acknowledged.set(deltaId, `${this.#name} ${mutationId}`);
    }
  }

  async #push(body: Uint8Array<ArrayBuffer>, mutationId: number): Promise<boolean> {
    const token = await signToken({ secret: SECRET, sub: this.#name, gw: "default" });
    const start = performance.now();
    let response: Response;
    let answer: Uint8Array;
    try {
      response = await fetch(`${this.#url()}/v1/sync/default/push`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": PROTOBUF_TYPE,
          accept: PROTOBUF_TYPE,
        },
        body,
      });
      answer = new Uint8Array(await response.arrayBuffer());
    } catch {
      this.failures.push("no answer");
      return false;
    }
    if (!response.ok) {
      this.failures.push(decodeError(answer).code);
      return false;
    }
    this.answerMs.push(performance.now() - start);
    const { lastMutationId, rejected, stopped } = decodePushResult(answer);
    if (rejected.length > 0 || stopped !== undefined || lastMutationId !== mutationId) {
      throw new Error(`Refused: ${JSON.stringify({ rejected, stopped, lastMutationId })}`);
    }
    return true;
  }

  /** A mark and the head that counts the marks, and then anything. */
  #transaction(n: number): Delta[] {
    const deltas = [
      this.#delta("INSERT", "marks", `${this.#name}.${n}`, { writer: this.#name, n }),
      this.#delta(n === 1 ? "INSERT" : "UPDATE", "heads", this.#name, { n }),
    ];
    if (n === 1) {
      for (const id of TALLIES) {
        const start = { n: 0, tags: [], most: null, first: null };
        deltas.push(this.#delta("INSERT", "tallies", id, start));
      }
    }
    const isLarge = this.#hasLarge && oneIn(LARGE_TRANSACTION);
    const more = isLarge ? LARGE_ROWS : 1 + Math.floor(Math.random() * 5);
    for (let i = 0; i < more; i++) deltas.push(...this.#some());
    if (this.#hasLarge && oneIn(LARGE_VALUE)) {
      const [column, type] = pick(LARGE_COLUMNS);
      deltas.push(this.#delta("UPDATE", "items", pick(ITEMS), { [column]: largeOf(type) }));
    }
    return deltas;
  }

  #some(): Delta[] {
    const kind = Math.random();
    const list = pick(LISTS);
    const item = pick(ITEMS);
    if (kind < 0.35) {
      // A list and what is in it, in one transaction.
      const before = oneIn(3)
        ? [this.#delta("INSERT", "lists", list, { name: valueOf("string") })]
        : [];
      return [...before, this.#delta("INSERT", "items", item, this.#item(list))];
    }
    if (kind < 0.6) {
      const cells = Object.entries(this.#item(list)).filter(() => oneIn(3));
      return [this.#delta("UPDATE", "items", item, Object.fromEntries(cells))];
    }
    if (kind < 0.7) return [this.#delta("DELETE", "items", item)];
    if (kind < 0.73) return [this.#delta("DELETE", "lists", list)];
    if (kind < 0.78) return [this.#delta("UPDATE", "lists", list, { name: valueOf("string") })];
    if (kind < 0.9) return [this.#tally()];
    return [this.#pair()];
  }

  #item(list: string): Record<string, Value> {
    const columns = TABLES.get("items")?.columns.filter(({ key, references }) =>
      !key && references === undefined
    );
    return {
      ...cellsOf(columns ?? []),
      list: oneIn(4) ? null : list,
      up: oneIn(3) ? itemId(pick(ITEMS)) : null,
    };
  }

  #tally(): Delta {
    const id = pick(TALLIES);
    if (oneIn(30)) return this.#delta("DELETE", "tallies", id);
    if (oneIn(15)) {
      return this.#delta("INSERT", "tallies", id, { n: 5, tags: ["new"], most: 1, first: null });
    }
    return this.#delta("UPDATE", "tallies", id, {
      n: { add: Math.floor(Math.random() * 9) - 3 },
      tags: { add: [pick(["a", "🎈", "", 1.5, true])], remove: [pick(["a", "b", "", false])] },
      most: Math.floor(Math.random() * 1e9),
      first: new Date(Math.random() * 1e13).toISOString(),
    });
  }

  #pair(): Delta {
    const table = TABLES.get("pairs");
    if (table === undefined) throw new Error("There is no such table");
    const key = [
      pick(["0001-01-01", "2026-11-21", "9999-12-31"]),
      pick<Value>([0, -5, 2n ** 63n - 1n]),
      pick(["a", "A", "a ", "é", "🎈", '["]']),
    ];
    const rowId = rowIdOf(table, key);
    if (oneIn(4)) return this.#delta("DELETE", "pairs", rowId);
    return this.#delta("INSERT", "pairs", rowId, { note: valueOf("string") });
  }

  #delta(
    op: Shape["op"],
    table: TableName,
    rowId: string,
    cells: Readonly<Record<string, Value>> = {},
  ): Delta {
    const columns = Object.keys(cells);
    const name = `${op} ${table} ${columns}`;
    const shape = this.#shapes.get(name) ?? { op, table, columns };
    this.#shapes.set(name, shape);
    // What the heads say is the writer's own order.
    const isShared = table !== "heads" && table !== "marks";
    const hlc = isShared && oneIn(OFFLINE) ? this.#early() : this.#next();
    const delta = { shape, rowId, hlc, values: Object.values(cells), deltaId: undefined };
    return { ...delta, deltaId: deltaIdOf(this.#name, delta, hlc) };
  }

  #next(): Hlc {
    const now = makeHlc(Date.now(), 0);
    this.#lastHlc = now > this.#lastHlc ? now : this.#lastHlc + 1n;
    return this.#lastHlc as Hlc;
  }

  /** A stamp of the last minute that no other change of this writer has. */
  #early(): Hlc {
    const ms = Date.now() - Math.floor(Math.random() * OFFLINE_MS);
    return makeHlc(ms, 1 + Math.floor(Math.random() * 65_535));
  }
}

/** The value of an item's key. */
function itemId(rowId: string): Value {
  const small = Number(rowId);
  return Number.isSafeInteger(small) ? small : BigInt(rowId);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
