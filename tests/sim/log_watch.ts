/**
 * Reads a gateway's log along with its commits, to write down who is in which list, and what the log
 * has lost when the gateway is opened again.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { storeClosed } from "../../server/store/_errors.ts";
import { type Logged, readLog } from "./expected.ts";
import { Members } from "./members.ts";
import type { Recorder } from "./recorder.ts";

/** Follows one gateway through the lives of its server. */
export class LogWatch {
  readonly #recorder: Recorder;
  #members = new Members();
  /** Transactions that it has. */
  #txs = new Set<string>();
  #seq = 0;
  #reading: Promise<void> = Promise.resolve();

  /** @param recorder where it is written down */
  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /**
   * Follows a gateway that was opened.
   *
   * @param gateway the gateway
   * @param peek runs a read at once, whatever the disk would take
   * @param ended resolves when the server's process ends, whose reads then never do: another one
   * that shares the database goes on
   */
  follow(gateway: OpenGateway, peek: <T>(read: () => T) => T, ended: Promise<void>): void {
    const read = async (from: number) => {
      try {
        return await Promise.race([readLog(gateway.store, from, peek), ended]);
      } catch (error) {
        // A server that ends in order closes its store; what is left is read at the next opening.
        if (isClosed(error)) return undefined;
        throw error;
      }
    };
    this.#next(async () => {
      const log = await read(0);
      if (log !== undefined) this.#begin(gateway.id, log);
    });
    gateway.onCommit(() =>
      this.#next(async () => {
        for (const logged of await read(this.#seq) ?? []) this.#take(logged, this.#members, true);
      })
    );
  }

  /** Resolves when all is read that was committed so far. */
  get read(): Promise<void> {
    return this.#reading;
  }

  #next(reads: () => Promise<void>): void {
    this.#reading = this.#reading.then(reads);
  }

  /** What the log says may be less than was known, when it is an older copy. */
  #begin(gateway: string, log: readonly Logged[]): void {
    const members = new Members();
    this.#seq = 0;
    for (const logged of log) this.#take(logged, members, false);
    const [known, now] = [this.#members.names, members.names];
    for (const rowId of now.difference(known)) this.#tell("member", rowId);
    for (const rowId of known.difference(now)) this.#tell("unmember", rowId);
    this.#members = members;
    const txs = new Set(log.map(({ tx }) => tx));
    const lost = [...this.#txs.difference(txs)];
    if (lost.length > 0) this.#recorder.add({ kind: "lost", gateway, txs: lost });
    this.#txs = txs;
  }

  #take({ tx, seq, clientId, deltas }: Logged, members: Members, tells: boolean): void {
    this.#seq = Math.max(this.#seq, seq);
    if (tells) this.#txs.add(tx);
    for (const delta of deltas) {
      const joins = members.take(delta, clientId);
      if (tells && joins !== undefined) this.#tell(joins ? "member" : "unmember", delta.rowId);
    }
  }

  #tell(kind: "member" | "unmember", rowId: string): void {
    const [list = "", user = ""] = rowId.split(":");
    this.#recorder.add({ kind, user, list });
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof LakeSyncError && error.message === storeClosed().message;
}
