/**
 * A WebSocket client that costs as little as it can and hides nothing: bare frames on a TCP
 * connection. The runtime's own client holds back answers of more than a kilobyte for 44 ms, and
 * none tells a connection that was cut from one that was closed. Knows only what the gateway
 * sends: whole binary frames, pings, and a close.
 *
 * Source: RFC 6455, section 5.
 *
 * @module
 */

const OPCODE = { binary: 2, close: 8, ping: 9, pong: 10 } as const;
const FIRST_READ_BYTES = 4 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How a connection ended. */
export interface SocketEnd {
  /** The code of the close frame that came; undefined when the connection was cut without one. */
  readonly code: number | undefined;
}

/** What a socket tells. */
export interface SocketPort {
  /** A message has come. */
  message(data: Uint8Array): void;
  /** The connection is gone, for good. */
  ended(end: SocketEnd): void;
}

/** A client's frame. The key of its mask is zero, so that the payload is sent as it is. */
function frameOf(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(2 + extra + 4 + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extra === 0 ? length : extra === 2 ? 126 : 127);
  if (extra === 2) view.setUint16(2, length);
  if (extra === 8) view.setBigUint64(2, BigInt(length));
  frame.set(payload, 2 + extra + 4);
  return frame;
}

/** A live connection. */
export class LoadSocket {
  readonly #connection: Deno.TcpConn;
  readonly #port: SocketPort;
  #buffer = new Uint8Array(FIRST_READ_BYTES);
  #filled = 0;
  #outgoing: Uint8Array[] = [];
  #writing = false;
  #code: number | undefined;
  #over = false;

  private constructor(connection: Deno.TcpConn, port: SocketPort) {
    this.#connection = connection;
    this.#port = port;
  }

  /**
   * Connects.
   *
   * @param url where to
   * @param protocols what is offered, the token too
   * @param port what is told
   * @throws {Error} with the head of the answer when the handshake was refused
   */
  static async open(
    url: URL,
    protocols: readonly string[],
    port: SocketPort,
  ): Promise<LoadSocket> {
    const connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    const socket = new LoadSocket(connection, port);
    try {
      connection.setNoDelay(true);
      await socket.#shakeHands(url, protocols);
    } catch (error) {
      connection.close();
      throw error;
    }
    void socket.#read();
    return socket;
  }

  async #shakeHands(url: URL, protocols: readonly string[]): Promise<void> {
    const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
    const head = [
      `GET ${url.pathname} HTTP/1.1`,
      `host: ${url.host}`,
      "connection: Upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${key}`,
      `sec-websocket-protocol: ${protocols.join(", ")}`,
      "",
      "",
    ];
    await this.#write(encoder.encode(head.join("\r\n")));
    for (;;) {
      if (!await this.#fill()) throw new Error("The handshake was cut");
      const text = decoder.decode(this.#buffer.subarray(0, this.#filled));
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) continue;
      if (!text.startsWith("HTTP/1.1 101")) throw new Error(text);
      this.#drop(end + 4);
      return;
    }
  }

  /** Sends a message. */
  send(payload: Uint8Array): void {
    this.#send(OPCODE.binary, payload);
  }

  /** Sends a close frame; {@linkcode SocketPort.ended} follows. */
  close(): void {
    this.#send(OPCODE.close, new Uint8Array([1000 >> 8, 1000 & 0xff]));
  }

  /** Ends the connection at once. */
  cut(): void {
    if (this.#over) return;
    this.#over = true;
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  #send(opcode: number, payload: Uint8Array): void {
    if (this.#over) return;
    this.#outgoing.push(frameOf(opcode, payload));
    if (!this.#writing) void this.#flush();
  }

  async #flush(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#outgoing.length > 0) {
        const frames = this.#outgoing;
        this.#outgoing = [];
        for (const frame of frames) await this.#write(frame);
      }
    } catch {
      // Reading tells how it ended.
    }
    this.#writing = false;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#connection.write(bytes.subarray(sent));
    }
  }

  /** Reads more; false when there is no more. */
  async #fill(): Promise<boolean> {
    if (this.#filled === this.#buffer.length) {
      const larger = new Uint8Array(this.#buffer.length * 2);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const read = await this.#connection.read(this.#buffer.subarray(this.#filled));
    this.#filled += read ?? 0;
    return read !== null;
  }

  #drop(bytes: number): void {
    this.#buffer.copyWithin(0, bytes, this.#filled);
    this.#filled -= bytes;
  }

  async #read(): Promise<void> {
    try {
      do this.#takeFrames(); while (await this.#fill());
    } catch {
      // A connection that is reset ends like one that is closed.
    }
    this.cut();
    this.#port.ended({ code: this.#code });
  }

  #takeFrames(): void {
    let at = 0;
    const view = new DataView(this.#buffer.buffer, 0, this.#filled);
    while (this.#filled - at >= 2) {
      const short = view.getUint8(at + 1) & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#filled - at < head) break;
      const length = short < 126
        ? short
        : short === 126
        ? view.getUint16(at + 2)
        : Number(view.getBigUint64(at + 2));
      if (this.#filled - at < head + length) break;
      this.#take(
        view.getUint8(at) & 0x0f,
        this.#buffer.slice(at + head, at + head + length),
      );
      at += head + length;
    }
    if (at > 0) this.#drop(at);
  }

  #take(opcode: number, payload: Uint8Array): void {
    switch (opcode) {
      case OPCODE.binary:
        return this.#port.message(payload);
      case OPCODE.ping:
        return this.#send(OPCODE.pong, payload);
      case OPCODE.close:
        this.#code = payload.length < 2 ? 1005 : ((payload[0] ?? 0) << 8) | (payload[1] ?? 0);
        return this.#send(OPCODE.close, payload.slice(0, 2));
    }
  }
}
