/**
 * An HTTP connection that stays open, for pushes one after the other, and that knows when the
 * gateway closes it in between: a push that begins after that was not cut.
 *
 * @module
 */

import { readAnswer } from "./raw_http.ts";

const BUFFER_BYTES = 16 * 1024;

/** The connection ended under a push. */
export class CutError extends Error {
  override readonly name = "CutError";
}

/** A connection. */
export class LoadConnection {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #waiting: PromiseWithResolvers<Uint8Array> | undefined;
  #open = true;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Connects. */
  static async open(url: URL): Promise<LoadConnection> {
    const connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    connection.setNoDelay(true);
    const opened = new LoadConnection(connection);
    void opened.#read();
    return opened;
  }

  /** Whether it can be sent by. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Sends a request and waits for its answer, which must have a length and status 200.
   *
   * @throws {CutError} when the connection ends before the answer
   * @throws {Error} with the answer, when it has another status
   */
  async send(request: Uint8Array): Promise<Uint8Array> {
    this.#waiting = Promise.withResolvers<Uint8Array>();
    const { promise } = this.#waiting;
    promise.catch(() => {});
    try {
      for (let sent = 0; sent < request.length;) {
        sent += await this.#connection.write(request.subarray(sent));
      }
    } catch (cause) {
      throw new CutError("The connection ended under a push", { cause });
    }
    return await promise;
  }

  /** Closes it. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connection.close();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const read = await this.#connection.read(this.#buffer.subarray(this.#filled));
        if (read === null) break;
        this.#filled += read;
        this.#take();
      }
    } catch {
      // A connection that is reset ends like one that is closed.
    }
    this.#waiting?.reject(new CutError("The connection ended under a push"));
    this.close();
  }

  #take(): void {
    try {
      const body = readAnswer(this.#buffer.subarray(0, this.#filled));
      if (body === undefined) return;
      this.#waiting?.resolve(body);
    } catch (error) {
      this.#waiting?.reject(error);
    }
    this.#waiting = undefined;
    this.#filled = 0;
  }
}
