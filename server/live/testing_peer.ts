/**
 * A WebSocket client made of bytes, which does only what a test says: it reads nothing unless asked,
 * answers no ping and no close, and may leave messages unfinished.
 *
 * Source: RFC 6455, section 5.2.
 *
 * @module
 */

const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
const FINAL = 0x80;
const MASKED = 0x80;

/** A frame from a client; its mask is zero, which masks nothing. */
function frameOf(opcode: number, payload: Uint8Array, final = true): Uint8Array {
  const { length } = payload;
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = new Uint8Array(head + 4 + length);
  const view = new DataView(frame.buffer);
  frame[0] = opcode | (final ? FINAL : 0);
  frame[1] = MASKED | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head === 4) view.setUint16(2, length);
  if (head === 10) view.setBigUint64(2, BigInt(length));
  frame.set(payload, head + 4);
  return frame;
}

/** A WebSocket client made of bytes. */
export class RawPeer {
  readonly #conn: Deno.TcpConn;
  #left: Uint8Array<ArrayBuffer> = new Uint8Array();
  /** The status of the handshake's answer. */
  readonly status: number;
  /** The answer, until the connection's frames. */
  readonly head: string;

  private constructor(conn: Deno.TcpConn, head: string, left: Uint8Array<ArrayBuffer>) {
    this.#conn = conn;
    this.head = head;
    this.status = Number(head.slice(9, 12));
    this.#left = left;
  }

  /** Sends a handshake and reads the head of the answer. */
  static async open(url: string, token: string, gatewayId = "default"): Promise<RawPeer> {
    const { hostname, port } = new URL(url);
    const conn = await Deno.connect({ hostname, port: Number(port) });
    conn.setNoDelay(true);
    const lines = [
      `GET /v1/sync/${gatewayId} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `Sec-WebSocket-Protocol: lakesync.v1+json, bearer.${token}`,
    ];
    await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
    let text = "";
    const buffer = new Uint8Array(4096);
    while (!text.includes("\r\n\r\n")) {
      const n = await conn.read(buffer);
      if (n === null) break;
      text += String.fromCharCode(...buffer.subarray(0, n));
    }
    const end = text.indexOf("\r\n\r\n") + 4;
    const left = Uint8Array.from(text.slice(end), (c) => c.charCodeAt(0));
    return new RawPeer(conn, text.slice(0, end), left);
  }

  /** Sends a JSON frame. */
  async send(frame: object): Promise<void> {
    await this.#write(frameOf(TEXT, new TextEncoder().encode(JSON.stringify(frame))));
  }

  /** Sends a part of a message that is not finished by it. */
  async sendPart(bytes: number, first: boolean): Promise<void> {
    await this.#write(frameOf(first ? BINARY : 0, new Uint8Array(bytes), false));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  async #take(bytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (this.#left.length < bytes) {
      const more = new Uint8Array(65_536);
      const n = await this.#conn.read(more);
      if (n === null) return undefined;
      const joined = new Uint8Array(this.#left.length + n);
      joined.set(this.#left);
      joined.set(more.subarray(0, n), this.#left.length);
      this.#left = joined;
    }
    const taken = this.#left.slice(0, bytes);
    this.#left = this.#left.slice(bytes);
    return taken;
  }

  /**
   * Reads a frame.
   *
   * @returns what a JSON frame holds, the code of a close, or `"end"` when the connection has ended
   */
  async frame(): Promise<Record<string, unknown> | number | "end"> {
    try {
      for (;;) {
        const head = await this.#take(2);
        if (head === undefined) return "end";
        const [first = 0, short = 0] = head;
        let length = short;
        if (short >= 126) {
          const extended = await this.#take(short === 126 ? 2 : 8);
          if (extended === undefined) return "end";
          const view = new DataView(extended.buffer);
          length = short === 126 ? view.getUint16(0) : Number(view.getBigUint64(0));
        }
        const payload = await this.#take(length);
        if (payload === undefined) return "end";
        if ((first & 0xf) === CLOSE) return new DataView(payload.buffer).getUint16(0);
        if ((first & 0xf) === TEXT) return JSON.parse(new TextDecoder().decode(payload));
      }
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return "end";
      throw error;
    }
  }

  /** Reads so many bytes at most, whatever they are. */
  async readBytes(bytes: number): Promise<void> {
    await this.#conn.read(new Uint8Array(bytes));
  }

  /** Reads until the connection ends, whatever comes. */
  async ended(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      while (await this.#conn.read(buffer) !== null) { /* It goes on. */ }
    } catch {
      // Reset is an end too.
    }
  }

  /** Goes away. */
  close(): void {
    this.#conn.close();
  }
}
