/**
 * Notices what other connections commit: another library's own connection, another process, the
 * sqlite3 command line. SQLite counts commits of others in `PRAGMA data_version`, which is cheap
 * to ask for.
 *
 * @module
 */

import type { Session } from "./session.ts";
import type { Timer } from "./timer.ts";

/** Watches one database. */
export class Watch {
  readonly #session: Session;
  readonly #timer: Timer;
  readonly #everyMs: number;
  #version: unknown;
  #cancel: (() => void) | undefined;
  #stopped = false;
  #checking: Promise<boolean> | undefined;

  /**
   * @param session the connections
   * @param timer passes time
   * @param everyMs how often to look, in milliseconds; 0: only when asked
   */
  constructor(session: Session, timer: Timer, everyMs: number) {
    this.#session = session;
    this.#timer = timer;
    this.#everyMs = everyMs;
  }

  /** Begins: what was committed until now is known. */
  async start(): Promise<void> {
    this.#version = await this.#read();
    this.#schedule();
  }

  async #read(): Promise<unknown> {
    const [row] = await this.#session.writer.values("PRAGMA data_version");
    return row?.[0];
  }

  #schedule(): void {
    if (this.#stopped || this.#everyMs === 0) return;
    this.#cancel = this.#timer(this.#everyMs, async () => {
      try {
        // While the writer is in use it sees no commit of others anyway.
        if (!this.#session.lock.busy) await this.check();
      } catch {
        // The database is locked or closing; the next look finds the same.
      }
      this.#schedule();
    });
  }

  /**
   * Looks now.
   *
   * @returns whether another connection had committed
   */
  async check(): Promise<boolean> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return await this.#checking;
  }

  async #check(): Promise<boolean> {
    const version = await this.#session.lock.hold(() => this.#read());
    if (version === this.#version) return false;
    const sealed = await this.#session.sealOthers();
    this.#version = version;
    this.#session.announce({ sealed, tables: undefined });
    return true;
  }

  /** Stops looking. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }
}
