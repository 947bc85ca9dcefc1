/**
 * SQLite as a device has it: the real one, in a process that may end before and after each call, on a
 * disk that may be full.
 *
 * @module
 */

import type { SqliteConnection, SqliteDriver } from "@lakesync/client";
import { nodeDriver } from "../../client/database/node.ts";
import type { Random } from "../oracle/random.ts";
import { never, type Process } from "./process.ts";

/** A device's disk. */
export interface DeviceDisk {
  /** Whether nothing more can be written. */
  full: boolean;
}

const WRITES = /^\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|WITH)/i;

function diskFull(): Error {
  return new Error("database or disk is full");
}

class DeviceConnection implements SqliteConnection {
  readonly #inner: SqliteConnection;
  readonly #process: Process;
  readonly #disk: DeviceDisk;
  readonly #random: Random;
  readonly #forget: () => void;

  constructor(inner: SqliteConnection, process: Process, disk: DeviceDisk, random: Random) {
    this.#inner = inner;
    this.#process = process;
    this.#disk = disk;
    this.#random = random;
    // What was open is rolled back, as SQLite does at the next opening.
    this.#forget = process.atEnd(() => void inner.close());
  }

  get inTransaction(): boolean {
    return this.#process.alive && this.#inner.inTransaction;
  }

  async #call<T>(sql: string, work: () => Promise<T>): Promise<T> {
    if (!this.#process.step()) return await never();
    if (this.#disk.full && WRITES.test(sql)) await this.#refuse();
    try {
      const result = await work();
      return this.#process.step() ? result : await never();
    } catch (error) {
      if (this.#process.alive) throw error;
      return await never();
    }
  }

  /** SQLite undoes the statement, or all of the transaction. */
  async #refuse(): Promise<never> {
    if (this.#inner.inTransaction && this.#random.chance(0.5)) await this.#inner.script("ROLLBACK");
    throw diskFull();
  }

  script(sql: string): Promise<void> {
    return this.#call(sql, () => this.#inner.script(sql));
  }

  run(...args: Parameters<SqliteConnection["run"]>): ReturnType<SqliteConnection["run"]> {
    return this.#call(args[0], () => this.#inner.run(...args));
  }

  runMany(...args: Parameters<SqliteConnection["runMany"]>): Promise<void> {
    return this.#call(args[0], () => this.#inner.runMany(...args));
  }

  values(...args: Parameters<SqliteConnection["values"]>): ReturnType<SqliteConnection["values"]> {
    return this.#call(args[0], () => this.#inner.values(...args));
  }

  all(...args: Parameters<SqliteConnection["all"]>): ReturnType<SqliteConnection["all"]> {
    return this.#call(args[0], () => this.#inner.all(...args));
  }

  async close(): Promise<void> {
    this.#forget();
    if (this.#process.alive) await this.#inner.close();
  }
}

/** The driver of a process on a device. */
export function deviceDriver(process: Process, disk: DeviceDisk, random: Random): SqliteDriver {
  return {
    open: async (path) => {
      if (!process.step()) return await never();
      return new DeviceConnection(await nodeDriver.open(path), process, disk, random);
    },
  };
}
