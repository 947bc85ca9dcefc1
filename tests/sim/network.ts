/**
 * The network between devices and servers: HTTP requests and sockets over links that delay, lose,
 * double and cut.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import type { Link } from "./link.ts";
import type { Process } from "./process.ts";
import { Connection } from "./socket.ts";

/** A server as the network sees it. */
export interface Host {
  /** Its process; undefined while it is down. */
  readonly process: Process | undefined;
  /** Answers a request. */
  handle(request: Request): Promise<Response>;
  /** Answers the handshake of a socket; gives whether it was opened. */
  accept(request: Request, connection: Connection): Promise<boolean>;
}

/** How probable it is that nobody says that a process is gone. */
const SILENT_DEATH = 0.3;
/** How long a request without an answer lies around before it is forgotten, in milliseconds. */
const FORGET_MS = 300_000;

/** What is between devices and servers. */
export class Network {
  /** Sockets that are open, by the link they go over. */
  readonly connections: Map<Connection, Link> = new Map();
  readonly #kernel: Kernel;

  /** @param kernel time and chance */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * `fetch` as a process on a device has it.
   *
   * @param link the device's link
   * @param process the process
   * @param host gives the server to ask
   */
  fetcher(link: Link, process: Process, host: () => Host): typeof fetch {
    return (input, init = {}) => {
      if (!process.alive) return new Promise(() => {});
      return new Promise((resolve, reject) => {
        new Exchange(this.#kernel, link, process, host(), resolve, reject).send(
          new URL(String(input)),
          init,
        );
      });
    };
  }

  /** Opens a socket from a process on a device. */
  open(link: Link, process: Process, host: Host, url: string, protocols: string[]): Connection {
    let server = host.process;
    let forgetServer = () => {};
    const connection: Connection = new Connection(
      this.#kernel,
      link,
      { up: () => server?.alive === true, down: () => process.alive },
      () => {
        this.connections.delete(connection);
        forgetClient();
        forgetServer();
      },
    );
    this.connections.set(connection, link);
    const forgetClient = process.atEnd(() => connection.clientGone());
    const headers = { upgrade: "websocket", "sec-websocket-protocol": protocols.join(", ") };
    const request = new Request(url.replace(/^ws/, "http"), { headers });
    this.#kernel.after(link.delayMs(), () =>
      link.pass("up", () => {
        server = host.process;
        if (server === undefined || this.#kernel.random.chance(link.quality.breaks)) {
          return connection.refuse();
        }
        forgetServer = server.atEnd(() => connection.serverGone());
        void this.#handshake(host, server, request, connection);
      }));
    return connection;
  }

  async #handshake(
    host: Host,
    server: Process,
    request: Request,
    connection: Connection,
  ): Promise<void> {
    const opened = await host.accept(request, connection);
    if (!server.alive) return;
    if (opened) connection.open();
    else connection.refuse();
  }
}

/** One request and its answer. */
class Exchange {
  readonly #kernel: Kernel;
  readonly #link: Link;
  readonly #process: Process;
  readonly #host: Host;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #server = new AbortController();
  #over = false;
  /** Lets the process forget it. */
  #forget: () => void = () => {};

  constructor(
    kernel: Kernel,
    link: Link,
    process: Process,
    host: Host,
    resolve: (response: Response) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#kernel = kernel;
    this.#link = link;
    this.#process = process;
    this.#host = host;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  send(url: URL, init: RequestInit): void {
    const { random } = this.#kernel;
    const { signal } = init;
    const body = init.body instanceof Uint8Array ? init.body.slice() : undefined;
    const method = init.method ?? "GET";
    if (signal?.aborted) return this.#fail(signal.reason);
    signal?.addEventListener("abort", () => this.#abort(signal.reason), { once: true });
    this.#forget = this.#process.atEnd(() => this.#abort(new Error("The process has ended")));
    const { breaks, doubles } = this.#link.quality;
    if (random.chance(breaks)) return this.#cut();
    const times = method === "POST" && random.chance(doubles) ? 2 : 1;
    for (let i = 0; i < times; i++) {
      this.#kernel.after(
        this.#link.delayMs() + i * random.below(2_000),
        () =>
          this.#link.pass("up", () => {
            if (this.#over && random.chance(0.5)) return;
            const request = new Request(url, {
              method,
              headers: init.headers ?? {},
              signal: this.#server.signal,
              ...(body === undefined ? {} : { body: body.slice() }),
            });
            void this.#answer(request);
          }),
      );
    }
    this.#kernel.after(FORGET_MS, () => this.#cut());
  }

  #fail(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#forget();
    if (this.#process.alive) this.#reject(reason);
  }

  #abort(reason: unknown): void {
    this.#fail(reason);
    this.#kernel.after(
      this.#link.delayMs(),
      () => this.#link.pass("up", () => this.#server.abort()),
    );
  }

  #cut(): void {
    this.#kernel.after(this.#link.delayMs(), () => this.#fail(new TypeError("connection reset")));
  }

  async #answer(request: Request): Promise<void> {
    const { random } = this.#kernel;
    const server = this.#host.process;
    if (server === undefined) return this.#cut();
    const forget = server.atEnd(() => {
      if (!random.chance(SILENT_DEATH)) this.#cut();
    });
    const response = await this.#host.handle(request);
    if (!server.alive) return;
    if (random.chance(this.#link.quality.breaks)) {
      forget();
      void response.body?.cancel();
      return this.#cut();
    }
    const { status, headers } = response;
    if (!headers.get("content-type")?.includes("checkpoint")) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      forget();
      return this.#deliver(() => {
        this.#forget();
        return new Response(bytes, { status, headers });
      });
    }
    const stream = response.body === null ? null : this.#stream(response.body, server, forget);
    this.#deliver(() => new Response(stream, { status, headers }));
  }

  #deliver(make: () => Response): void {
    this.#kernel.after(this.#link.delayMs(), () =>
      this.#link.pass("down", () => {
        if (this.#over || !this.#process.alive) return;
        this.#over = true;
        this.#resolve(make());
      }));
  }

  /** Passes a body on, piece by piece, for as long as both ends live and the link lets it. */
  #stream(
    body: ReadableStream<Uint8Array>,
    server: Process,
    forget: () => void,
  ): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    const arrives = () =>
      new Promise<void>((resolve) =>
        this.#kernel.after(this.#link.delayMs(), () => this.#link.pass("down", resolve))
      );
    return new ReadableStream({
      pull: async (controller) => {
        const ended = Promise.withResolvers<undefined>();
        const stop = server.atEnd(() => ended.resolve(undefined));
        const piece = await Promise.race([reader.read(), ended.promise]);
        stop();
        await arrives();
        if (
          piece === undefined || !server.alive ||
          this.#kernel.random.chance(this.#link.quality.breaks)
        ) {
          void reader.cancel().catch(() => {});
          return controller.error(new TypeError("connection reset"));
        }
        if (piece.done) {
          forget();
          controller.close();
        } else controller.enqueue(piece.value);
      },
      cancel: async () => {
        forget();
        await reader.cancel();
      },
    }, { highWaterMark: 0 });
  }
}
