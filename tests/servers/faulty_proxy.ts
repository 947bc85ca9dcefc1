/**
 * A proxy of HTTP between a client and a server, to be broken by tests: it loses requests and answers,
 * sends requests twice or much later, and answers by itself. What it forwards it does not change.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import http from "node:http";

/** An answer of the proxy's own; the request is not forwarded. */
export interface OwnAnswer {
  readonly status: number;
  readonly body: string;
}

/** What the proxy does with a request. */
export type Fault =
  /** It is forwarded and answered. */
  | "pass"
  /** The connection is reset, and the server never hears of it. */
  | "lost"
  /** It is forwarded, and then the connection is reset. */
  | "answer lost"
  /** It is forwarded, and the connection is reset in the middle of the answer's body. */
  | "answer cut"
  /** It is forwarded and answered in chunks, without the length of the body. */
  | "chunked"
  /** It is forwarded, and the proxy answers 500. */
  | "answer spoiled"
  /** It is forwarded, and nothing is ever answered. */
  | "silent"
  /** It is forwarded twice, one after the other, and the second answer is given. */
  | "twice"
  /** Nothing is answered, and it is forwarded when {@linkcode FaultyProxy.release} is called. */
  | "held"
  | OwnAnswer;

/** A request, as tests judge it. */
export interface SeenRequest {
  readonly method: string;
  /** The path with the query. */
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** An answer of the storage when it has too much to do. */
export const SLOW_DOWN: OwnAnswer = { status: 503, body: s3Error("SlowDown") };

/** The body of an answer of a storage that refuses. */
export function s3Error(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>No</Message></Error>`;
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(stream));
}

/** The proxy. */
export class FaultyProxy implements AsyncDisposable {
  /** What is done with each request; all pass unless set. */
  fault: (request: SeenRequest) => Fault = () => "pass";
  /** All requests that came. */
  readonly seen: SeenRequest[] = [];
  /** How many connections clients have opened so far. */
  connections = 0;
  readonly #target: URL;
  readonly #server: http.Server;
  readonly #agent = new http.Agent({ keepAlive: false });
  readonly #working = new Set<Promise<void>>();
  #held: (() => Promise<unknown>)[] = [];

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = http.createServer((request, response) => {
      const working = this.#handle(request, response)
        // The client has gone away, or the server has.
        .catch(() => {
          response.socket?.destroy();
        })
        .finally(() => this.#working.delete(working));
      this.#working.add(working);
    });
    this.#server.on("connection", () => this.connections++);
  }

  /**
   * Opens a proxy.
   *
   * @param target where it forwards to
   */
  static async open(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  /** Where it listens. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("It does not listen");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Forwards what was held, in the order in which it came, and waits until it has arrived. */
  async release(): Promise<void> {
    for (const forward of this.#held.splice(0)) await forward();
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readAll(request);
    const { method = "", url: path = "", headers } = request;
    const seen = { method, path, headers };
    this.seen.push(seen);
    const fault = this.fault(seen);
    const forward = () => this.#forward(seen, body);
    if (typeof fault === "object") {
      response.writeHead(fault.status, { "content-type": "application/xml" }).end(fault.body);
      return;
    }
    if (fault === "held") {
      this.#held.push(forward);
      return;
    }
    if (fault === "lost") {
      response.socket?.destroy();
      return;
    }
    if (fault === "twice") await forward();
    const answer = await forward();
    switch (fault) {
      case "chunked": {
        const { "content-length": _, ...headers } = answer.headers;
        response.writeHead(answer.status, headers).end(answer.body);
        return;
      }
      case "silent":
        return;
      case "answer lost":
        response.socket?.destroy();
        return;
      case "answer spoiled":
        response.writeHead(500, { "content-type": "application/xml" }).end(
          s3Error("InternalError"),
        );
        return;
      case "answer cut":
        response.writeHead(answer.status, answer.headers);
        response.write(answer.body.subarray(0, answer.body.length / 2), () => {
          response.socket?.destroy();
        });
        return;
      default:
        response.writeHead(answer.status, answer.headers).end(answer.body);
    }
  }

  async #forward({ method, path, headers }: SeenRequest, body: Uint8Array): Promise<Answer> {
    return await new Promise((resolve, reject) => {
      const { hostname, port } = this.#target;
      const sent = http.request(
        { agent: this.#agent, host: hostname, port, method, path, headers },
        (answer) => {
          readAll(answer).then(
            (body) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body }),
            reject,
          );
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** Closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#held = [];
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(this.#working);
    this.#agent.destroy();
  }
}
