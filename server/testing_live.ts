/**
 * A live client that tests hold in their hands.
 *
 * @module
 */

import assert from "node:assert/strict";

/** A WebSocket that hands out what arrives, in order. */
export class LiveClient {
  readonly #socket: WebSocket;
  readonly #arrived: unknown[] = [];
  #wake = () => {};
  /** The close code, once it is closed. */
  readonly closed: Promise<number>;
  /** The subprotocol that was agreed on. */
  get protocol(): string {
    return this.#socket.protocol;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      this.#arrived.push(data);
      this.#wake();
    };
    this.closed = new Promise((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
  }

  /** Connects. */
  static async open(
    url: string,
    gatewayId: string,
    token: string,
    protocol = "lakesync.v1+json",
  ): Promise<LiveClient> {
    const address = `${url.replace("http", "ws")}/v1/sync/${gatewayId}`;
    const socket = new WebSocket(address, [protocol, `bearer.${token}`]);
    const client = new LiveClient(socket);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("The handshake was refused"));
    });
    socket.onerror = null;
    return client;
  }

  /** Sends a frame. */
  send(frame: object | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(
      frame instanceof Uint8Array ? frame : JSON.stringify(frame),
    );
  }

  /** The next message. */
  async data(): Promise<unknown> {
    while (this.#arrived.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#arrived.shift();
  }

  /** The next frame, which must have this name. */
  // deno-lint-ignore no-explicit-any -- tests read into answers of many shapes
  async frame(name: string): Promise<any> {
    const data = await this.data();
    assert.equal(typeof data, "string");
    const frame = JSON.parse(String(data));
    assert.deepEqual(Object.keys(frame), [name], String(data));
    return frame[name];
  }

  /** Messages that have arrived and were not taken. */
  get waiting(): number {
    return this.#arrived.length;
  }

  /** Closes it. */
  async close(): Promise<void> {
    this.#socket.close();
    await this.closed;
  }
}

/** The runtime's WebSocket with what it takes beside the standard: certificates that it trusts. */
export const TrustingWebSocket: new (
  url: string,
  options: { readonly protocols: readonly string[]; readonly client: Deno.HttpClient },
) => WebSocket = WebSocket as unknown as new (
  url: string,
  options: { readonly protocols: readonly string[]; readonly client: Deno.HttpClient },
) => WebSocket;
