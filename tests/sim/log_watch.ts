/**
 * Reads a gateway's log along with its commits, to write down who is in which list.
 *
 * @module
 */

import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { type Logged, readLog } from "./expected.ts";
import type { Recorder } from "./recorder.ts";

/** Follows one gateway through the lives of its server. */
export class LogWatch {
  readonly #recorder: Recorder;
  /** Members by the rowId of their row, `<list>:<user>`. */
  #members = new Set<string>();
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
   */
  follow(gateway: OpenGateway, peek: <T>(read: () => T) => T): void {
    const read = (from: number) => readLog(gateway.store, from, peek);
    this.#reading = read(0).then((log) => this.#begin(log));
    gateway.onCommit(() => {
      this.#reading = this.#reading.then(async () => {
        for (const logged of await read(this.#seq)) this.#take(logged, this.#members, true);
      });
    });
  }

  /** What the log says may be less than was known, when it is an older copy. */
  #begin(log: readonly Logged[]): void {
    const members = new Set<string>();
    this.#seq = 0;
    for (const logged of log) this.#take(logged, members, false);
    for (const rowId of members.difference(this.#members)) this.#tell("member", rowId);
    for (const rowId of this.#members.difference(members)) this.#tell("unmember", rowId);
    this.#members = members;
  }

  #take({ seq, deltas }: Logged, members: Set<string>, tells: boolean): void {
    this.#seq = Math.max(this.#seq, seq);
    for (const { shape, rowId } of deltas) {
      if (shape.table !== "members") continue;
      const joins = shape.op !== "DELETE";
      if (joins === members.has(rowId)) continue;
      if (joins) members.add(rowId);
      else members.delete(rowId);
      if (tells) this.#tell(joins ? "member" : "unmember", rowId);
    }
  }

  #tell(kind: "member" | "unmember", rowId: string): void {
    const [list = "", user = ""] = rowId.split(":");
    this.#recorder.add({ kind, user, list });
  }
}
