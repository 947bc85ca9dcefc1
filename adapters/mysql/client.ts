/**
 * The connections of an adapter. A transaction has one that nobody else uses and that is not put
 * back when anything but its end is known of it.
 *
 * @module
 */

import { DestinationError } from "../adapter.ts";
import {
  Connection,
  type ReadRow,
  type ServerFacts,
  type StatementListener,
} from "./connection.ts";
import { destinationError } from "./errors.ts";
import type { MysqlSettings } from "./options.ts";

/** Runs statements one after the other. */
export interface Session {
  /** What is particular to the server. */
  readonly facts: ServerFacts;
  /** Runs one statement. */
  run(statement: string): Promise<readonly ReadRow[]>;
}

interface Idle {
  readonly connection: Connection;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The connections of an adapter. */
export class Client {
  readonly #settings: MysqlSettings;
  readonly #listener: StatementListener | undefined;
  readonly #idle: Idle[] = [];
  readonly #busy = new Set<Connection>();
  readonly #waiting: Waiting[] = [];
  /** Connections that are about to end. */
  readonly #ending = new Set<Promise<void>>();
  /** Connections that are open or about to be. */
  #count = 0;
  #isClosed = false;

  /**
   * @param settings how to reach and use the database
   * @param listener told of every statement
   */
  constructor(settings: MysqlSettings, listener?: StatementListener) {
    this.#settings = settings;
    this.#listener = listener;
  }

  /**
   * Runs statements on a connection, each a transaction of its own.
   *
   * @param run what it does
   * @param isLong whether its statements may take as long as they need
   * @throws {DestinationError} when it failed; what the driver throws is in `cause`
   */
  async use<T>(run: (session: Session) => Promise<T>, isLong = false): Promise<T> {
    let connection: Connection | undefined;
    let isClean = false;
    try {
      const taken = connection = await this.#acquire();
      if (isLong) await taken.takeTime();
      const result = await run({
        facts: taken.facts,
        run: (statement) => taken.run(statement, !isLong),
      });
      isClean = true;
      return result;
    } catch (error) {
      throw destinationError(error);
    } finally {
      if (connection !== undefined) this.#release(connection, isClean, isLong);
    }
  }

  /**
   * Runs a transaction.
   *
   * @param run what it does
   * @param isLong whether its statements may take as long as they need
   * @throws {DestinationError} when it was not committed, or when that is not known
   */
  async transact<T>(run: (session: Session) => Promise<T>, isLong = false): Promise<T> {
    return await this.use(async (session) => {
      await session.run("START TRANSACTION");
      // The connection of a transaction that fails is closed, which takes it back.
      const result = await run(session);
      await session.run("COMMIT");
      return result;
    }, isLong);
  }

  /** Ends the connections in use; what is under way on them fails. */
  abandon(): void {
    for (const connection of this.#busy) connection.destroy();
  }

  /** Ends all connections; what is under way fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#closed());
    for (const connection of this.#busy) connection.destroy();
    const idle = this.#idle.splice(0);
    for (const { timer } of idle) clearTimeout(timer);
    for (const { connection } of idle) this.#retire(connection);
    await Promise.all(this.#ending);
  }

  async #acquire(): Promise<Connection> {
    const deadline = performance.now() + this.#settings.connectionTimeoutMs;
    for (;;) {
      if (this.#isClosed) throw this.#closed();
      const idle = this.#idle.pop();
      if (idle !== undefined) {
        const { connection, timer } = idle;
        clearTimeout(timer);
        if (!connection.isBroken && performance.now() < connection.untilMs) {
          this.#busy.add(connection);
          return connection;
        }
        this.#count--;
        this.#retire(connection);
        continue;
      }
      if (this.#count < this.#settings.poolMax) return await this.#open();
      await this.#turn(deadline);
    }
  }

  async #open(): Promise<Connection> {
    this.#count++;
    try {
      const connection = await Connection.open(this.#settings, this.#listener);
      if (this.#isClosed) {
        connection.destroy();
        throw this.#closed();
      }
      this.#busy.add(connection);
      return connection;
    } catch (error) {
      this.#count--;
      this.#next();
      throw error;
    }
  }

  #release(connection: Connection, isClean: boolean, isLong: boolean): void {
    this.#busy.delete(connection);
    if (!isClean || connection.isBroken) {
      this.#count--;
      connection.destroy();
    } else if (isLong || this.#isClosed) {
      this.#count--;
      this.#retire(connection);
    } else {
      const timer = setTimeout(() => {
        this.#idle.splice(this.#idle.findIndex((each) => each.connection === connection), 1);
        this.#count--;
        this.#retire(connection);
        this.#next();
      }, this.#settings.idleTimeoutMs);
      this.#idle.push({ connection, timer });
    }
    this.#next();
  }

  /** Ends a connection in good order, which {@linkcode Client.close} waits for. */
  #retire(connection: Connection): void {
    const ending = connection.end().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Waits until a connection may be free. */
  async #turn(deadline: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiting: Waiting = { resolve, reject };
        this.#waiting.push(waiting);
        timer = setTimeout(() => {
          this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
          const text = `None of the ${this.#settings.poolMax} connections became free in time`;
          reject(new DestinationError("later", text));
        }, deadline - performance.now());
      });
    } finally {
      clearTimeout(timer);
    }
  }

  #next(): void {
    this.#waiting.shift()?.resolve();
  }

  #closed(): DestinationError {
    return new DestinationError("later", `${this.#settings.name} is closed, open it again`);
  }
}
