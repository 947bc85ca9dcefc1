/**
 * A gateway process that is stopped while it works, with its output, and requests that are written
 * byte by byte.
 *
 * @module
 */

import { type Role, signToken } from "@lakesync/server";
import assert from "node:assert/strict";
import { SECRET } from "./support_site.ts";

/** A table of texts. */
export const TEXTS = {
  version: 1,
  tables: { texts: { primaryKey: ["id"], columns: { id: "string", text: "string" } } },
} as const;

const STARTED = / on (http:\/\/\S+)/;

/** How a process ended. */
export interface Stopped {
  /** Its exit code. */
  readonly code: number;
  /** How long that took since the signal, in milliseconds. */
  readonly ms: number;
  /** All that it has printed. */
  readonly output: string;
}

/** A gateway process that is asked to stop. */
export class StoppedServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #started = Promise.withResolvers<string>();
  #output = "";
  #signalMs = 0;
  #wake = () => {};
  /** Where it listens. */
  url = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = this.#read();
  }

  /** Begins to start one. */
  static spawn(data: string, args: readonly string[] = []): StoppedServer {
    const main = new URL("../../server/main.ts", import.meta.url).pathname;
    const flags = ["--port", "0", "--data", data, "--secret", SECRET, "--dev=true"];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", main, "serve", ...flags, ...args],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return new StoppedServer(child);
  }

  /** Starts one and waits until it listens. */
  static async start(data: string, args: readonly string[] = []): Promise<StoppedServer> {
    const server = StoppedServer.spawn(data, args);
    server.url = await server.#started.promise;
    return server;
  }

  /** Waits until it has printed something. */
  async until(text: string): Promise<void> {
    while (!this.#output.includes(text)) await new Promise<void>((wake) => this.#wake = wake);
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#signalMs ||= performance.now();
    this.#child.kill(signal);
  }

  /** Waits for its end. */
  async ended(): Promise<Stopped> {
    const { code } = await this.#child.status;
    const ms = performance.now() - this.#signalMs;
    await this.#reading;
    return { code, ms, output: this.#output };
  }

  /** Kills it if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.ended();
  }

  /** Asks it. */
  async ask(path: string, token: string, body?: object, method?: string): Promise<Response> {
    return await fetch(`${this.url}${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** Gives a gateway its table. */
  async putSchema(gatewayId = "default"): Promise<void> {
    const root = await tokenOf("root", "admin");
    const put = await this.ask(`/v1/admin/schema/${gatewayId}`, root, TEXTS, "PUT");
    assert.equal(put.status, 200, await put.text());
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#output += decoder.decode(chunk, { stream: true });
      const url = STARTED.exec(this.#output)?.[1];
      if (url !== undefined) this.#started.resolve(url);
      this.#wake();
    }
    this.#started.promise.catch(() => {});
    this.#started.reject(new Error(`It has not started: ${this.#output}`));
  }
}

/** Makes a token. */
export function tokenOf(sub: string, role: Role = "client"): Promise<string> {
  return signToken({ secret: SECRET, sub, gw: "*", role });
}

/** A push of texts. */
export function pushOf(
  clientId: string,
  mutationId: number,
  texts: Readonly<Record<string, string>>,
): object {
  const deltas = Object.entries(texts).map(([rowId, text]) => ({
    op: "INSERT",
    table: "texts",
    rowId,
    columns: { text },
  }));
  return { clientId, schemaVersion: 1, transactions: [{ mutationId, deltas }] };
}

/** A connection whose requests are written by hand. */
export class RawConnection implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #decoder = new TextDecoder();

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects. */
  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    return new RawConnection(await Deno.connect({ hostname, port: Number(port) }));
  }

  /** Writes text. */
  async write(text: string): Promise<void> {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(await this.#conn.write(bytes));
  }

  /** Begins a request with a body, of which it writes so much. */
  async post(
    path: string,
    token: string,
    body: string,
    length: number = body.length,
  ): Promise<void> {
    await this.write(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n` +
        body.slice(0, length),
    );
  }

  /** Reads one answer; what has come of it when the connection was ended. */
  async answer(): Promise<string> {
    const buffer = new Uint8Array(64 * 1024);
    let text = "";
    for (;;) {
      const read = await this.#conn.read(buffer).catch(() => null);
      if (read === null) return text;
      text += this.#decoder.decode(buffer.subarray(0, read), { stream: true });
      const [head = "", body] = text.split("\r\n\r\n");
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? "0");
      if (body !== undefined && body.length >= length) return text;
    }
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.#conn.close();
  }
}
