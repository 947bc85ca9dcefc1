/**
 * What lies between a client and its gateway, to be broken by tests: an HTTP proxy that loses
 * answers and refuses sockets, and a TCP relay that falls silent.
 *
 * @module
 */

/** What the proxy does with a request. */
export type Treatment =
  /** It is forwarded and answered. */
  | "pass"
  /** It is forwarded, and the gateway's answer is lost: the proxy answers 504. */
  | "lose answer"
  /** The proxy itself answers with 502. */
  | "refuse"
  /** The proxy itself answers with 413. */
  | "too large";

/** A request as tests judge it. */
export interface Passing {
  /** The last part of its path: `push`, `pull`, `checkpoint`; `live` for a socket. */
  readonly kind: string;
  /** How many of this kind came before it. */
  readonly before: number;
  /** The length of its body. */
  readonly bytes: number;
}

/** An HTTP proxy in front of a gateway. */
export class Proxy implements AsyncDisposable {
  /** What is done with each request; all pass unless set. */
  treat: (passing: Passing) => Treatment = () => "pass";
  /** Told of each frame that a live client is sent. */
  heard: (frame: Uint8Array) => void = () => {};
  /** Changes the body of an answer on its way; all are left as they are unless set. */
  body: (passing: Passing, body: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array> = (
    _,
    body,
  ) => body;
  /** How many requests of each kind came. */
  readonly counts: Map<string, number> = new Map();
  readonly #target: () => string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #sockets: Set<WebSocket> = new Set();

  /** @param target gives the gateway's URL */
  constructor(target: () => string) {
    this.#target = target;
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => this.#handle(request));
  }

  /** Where it listens. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** How many requests of a kind came. */
  count(kind: string): number {
    return this.counts.get(kind) ?? 0;
  }

  async #handle(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const upgrade = request.headers.get("upgrade") !== null;
    const kind = upgrade ? "live" : pathname.slice(pathname.lastIndexOf("/") + 1);
    const before = this.count(kind);
    this.counts.set(kind, before + 1);
    const bytes = Number(request.headers.get("content-length") ?? "0");
    const passing = { kind, before, bytes };
    const treatment = this.treat(passing);
    if (treatment === "too large") {
      await request.body?.cancel();
      return new Response("Too large", { status: 413 });
    }
    if (treatment === "refuse") return new Response("No", { status: 502 });
    if (upgrade) return await this.#upgrade(request, pathname);
    let response: Response;
    try {
      response = await fetch(`${this.#target()}${pathname}${search}`, {
        method: request.method,
        headers: request.headers,
        body: request.body,
        signal: request.signal,
      });
    } catch {
      return new Response("The gateway is away", { status: 502 });
    }
    if (treatment === "pass") {
      const { body, status, headers } = response;
      const edited = body === null ? null : this.body(passing, body);
      return edited === body ? response : new Response(edited, { status, headers });
    }
    await response.body?.cancel();
    return new Response("Too late", { status: 504 });
  }

  async #upgrade(request: Request, pathname: string): Promise<Response> {
    const offered = request.headers.get("sec-websocket-protocol") ?? "";
    const protocols = offered.split(",").map((name) => name.trim());
    const upstream = new WebSocket(`${this.#target().replace("http", "ws")}${pathname}`, protocols);
    upstream.binaryType = "arraybuffer";
    const opened = await new Promise<boolean>((resolve) => {
      upstream.onopen = () => resolve(true);
      upstream.onerror = () => resolve(false);
    });
    if (!opened) return new Response("No", { status: 401 });
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol: "lakesync.v1" });
    socket.binaryType = "arraybuffer";
    const waiting: ArrayBuffer[] = [];
    upstream.onmessage = ({ data }) => {
      this.heard(new Uint8Array(data));
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
      else waiting.push(data);
    };
    socket.onopen = () => {
      for (const data of waiting.splice(0)) socket.send(data);
    };
    socket.onmessage = ({ data }) => {
      if (upstream.readyState === WebSocket.OPEN) upstream.send(data);
    };
    socket.onerror = () => {};
    const end = (other: WebSocket) => ({ code }: CloseEvent) => {
      this.#sockets.delete(socket);
      this.#sockets.delete(upstream);
      if (other.readyState > WebSocket.OPEN) return;
      if (code === 1000 || code >= 3000) other.close(code);
      else other.close();
    };
    upstream.onclose = end(socket);
    socket.onclose = end(upstream);
    this.#sockets.add(socket).add(upstream);
    return response;
  }

  /** Breaks every live connection. */
  breakSockets(): void {
    for (const socket of this.#sockets) socket.close();
  }

  /** Stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.breakSockets();
    await this.#server.shutdown();
  }
}

/** A TCP relay in front of a gateway whose lines can fall silent without closing, or be cut. */
export class Relay implements AsyncDisposable {
  /** The line of the answer that reaches the first of these counts of bytes is cut, then the next. */
  readonly cuts: number[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #target: () => string;
  readonly #connections: Set<Deno.TcpConn> = new Set();
  readonly #silent: Set<Deno.TcpConn> = new Set();
  readonly #running: Set<Promise<void>> = new Set();
  readonly #accepting: Promise<void>;

  /** @param target gives the gateway's URL */
  constructor(target: () => string) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#accepting = this.#accept();
  }

  /** Where it listens. */
  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  /** From now on nothing passes through the connections there are; new ones work. */
  silence(): void {
    for (const connection of this.#connections) this.#silent.add(connection);
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      const relaying = this.#relay(near).finally(() => this.#running.delete(relaying));
      this.#running.add(relaying);
    }
  }

  async #relay(near: Deno.TcpConn): Promise<void> {
    const { hostname, port } = new URL(this.#target());
    let far: Deno.TcpConn;
    try {
      far = await Deno.connect({ hostname, port: Number(port) });
    } catch {
      near.close();
      return;
    }
    this.#connections.add(near).add(far);
    await Promise.all([this.#pipe(near, far, false), this.#pipe(far, near, true)]);
    for (const connection of [near, far]) {
      this.#connections.delete(connection);
      this.#silent.delete(connection);
    }
  }

  async #pipe(from: Deno.TcpConn, to: Deno.TcpConn, answers: boolean): Promise<void> {
    let passed = 0;
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const read = await from.read(buffer);
        if (read === null) break;
        if (this.#silent.has(from)) continue;
        const [cut = Infinity] = answers ? this.cuts : [];
        const through = Math.min(read, cut - passed);
        passed += read;
        for (let at = 0; at < through;) at += await to.write(buffer.subarray(at, through));
        if (passed < cut) continue;
        this.cuts.shift();
        break;
      }
    } catch {
      // One end broke; the other one is told by closing it.
    }
    for (const connection of [from, to]) {
      try {
        connection.close();
      } catch {
        // It was closed before.
      }
    }
  }

  /** Closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // It was closed before.
      }
    }
    await this.#accepting;
    await Promise.all(this.#running);
  }
}
