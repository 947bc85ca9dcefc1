/**
 * A load generator's HTTP: requests that were put together before, on one connection that stays
 * open, and answers read by their length. It costs a fraction of `fetch`, so that the benchmark
 * measures the server and not its own client.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Puts a POST request together.
 *
 * @param url where to
 * @param headers its headers, without host and length
 * @param body its body
 * @returns the bytes to send
 */
export function toRequest(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Uint8Array {
  const lines = [`POST ${url.pathname} HTTP/1.1`, `host: ${url.host}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  lines.push(`content-length: ${body.length}`, "", "");
  const head = encoder.encode(lines.join("\r\n"));
  const request = new Uint8Array(head.length + body.length);
  request.set(head);
  request.set(body, head.length);
  return request;
}

/** One connection. */
export class RawConnection implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(64 * 1024);

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Connects. */
  static async open(url: URL): Promise<RawConnection> {
    const connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    connection.setNoDelay(true);
    return new RawConnection(connection);
  }

  /** Sends a request and reads its answer's body, which must have a length and status 200. */
  async send(request: Uint8Array): Promise<Uint8Array> {
    for (let sent = 0; sent < request.length;) {
      sent += await this.#connection.write(request.subarray(sent));
    }
    let filled = 0;
    for (;;) {
      const read = await this.#connection.read(this.#buffer.subarray(filled));
      if (read === null) throw new Error("The server closed the connection");
      filled += read;
      const answer = readAnswer(this.#buffer.subarray(0, filled));
      if (answer !== undefined) return answer;
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/**
 * The body of an answer that is there whole.
 *
 * @throws {Error} with its head, when it is not 200
 */
export function readAnswer(bytes: Uint8Array): Uint8Array | undefined {
  const text = decoder.decode(bytes.subarray(0, 1024));
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  if (!text.startsWith("HTTP/1.1 200")) throw new Error(text.slice(0, end));
  const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? NaN);
  if (Number.isNaN(length)) throw new Error("The answer has no length");
  return bytes.length < end + 4 + length ? undefined : bytes.slice(end + 4, end + 4 + length);
}
