/**
 * Serves by TLS with a certificate that can be replaced. The runtime takes a certificate once for a
 * listener and cannot end a listener without its WebSockets; so one listener takes connections as
 * they come, and passes their bytes, still encrypted, on to a server of the runtime on loopback that
 * has the certificate. A new certificate is a new such server, for new connections; the one before
 * ends when its last connection has. See docs/adr/0020-tls.md.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Serve } from "../listener.ts";
import { relay } from "./relay.ts";

const logger = getLogger(["lakesync", "tls"]);

/** Where the servers behind listen; only this process is answered there. */
const BEHIND = "127.0.0.1";

/** A certificate and its key. */
export interface Certificate {
  /** The chain, as PEM. */
  readonly cert: string;
  /** The private key, as PEM. */
  readonly key: string;
}

type Options = Parameters<Serve>[0];
type Handler = Parameters<Serve>[1];

/** A server of the runtime that has one certificate. */
interface Behind {
  readonly server: Deno.HttpServer<Deno.NetAddr>;
  /** Its connections. */
  open: number;
  /** Whether another one takes new connections. */
  isOld: boolean;
}

/** Serves by TLS. */
export class TlsFront {
  #certificate: Certificate;
  readonly #fronts = new Set<OneFront>();

  /** @param certificate the first certificate */
  constructor(certificate: Certificate) {
    this.#certificate = certificate;
  }

  /** Listens as `Deno.serve` does. */
  readonly serve: Serve = (options, handler) => {
    const front = new OneFront(options, handler, this.#certificate);
    this.#fronts.add(front);
    const ended = () => this.#fronts.delete(front);
    front.finished.then(ended, ended);
    return front;
  };

  /**
   * Gives new connections another certificate; those that are open keep theirs.
   *
   * @throws {Error} when it is none or the key is another one's; the one before goes on
   */
  replace(certificate: Certificate): void {
    for (const front of this.#fronts) front.replace(certificate);
    this.#certificate = certificate;
  }
}

/** One listener and the servers behind it. */
class OneFront implements Deno.HttpServer<Deno.NetAddr> {
  readonly addr: Deno.NetAddr;
  readonly finished: Promise<void>;
  readonly #options: Options;
  readonly #handler: Handler;
  readonly #listener: Deno.TcpListener;
  /** Who is at the other end, by the port from which a server behind is reached. */
  readonly #peers = new Map<number, Deno.NetAddr>();
  readonly #connections = new Map<Deno.TcpConn, Promise<void>>();
  readonly #behind = new Set<Behind>();
  #current: Behind;
  #isEnding = false;

  constructor(options: Options, handler: Handler, certificate: Certificate) {
    this.#options = options;
    this.#handler = handler;
    this.#current = this.#start(certificate);
    try {
      this.#listener = Deno.listen({
        hostname: options.hostname ?? BEHIND,
        port: options.port ?? 0,
      });
    } catch (error) {
      void this.#current.server.shutdown();
      throw error;
    }
    this.addr = this.#listener.addr;
    options.signal.addEventListener("abort", () => this.#cut(), { once: true });
    this.finished = this.#accept();
    options.onListen?.(this.addr);
  }

  replace(certificate: Certificate): void {
    const before = this.#current;
    this.#current = this.#start(certificate);
    before.isOld = true;
    if (before.open === 0) this.#end(before);
  }

  async shutdown(): Promise<void> {
    this.#isEnding = true;
    this.#listener.close();
    await Promise.all([...this.#behind].map(({ server }) => server.shutdown()));
    await this.finished;
  }

  ref(): void {
    this.#listener.ref();
  }

  unref(): void {
    this.#listener.unref();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  #start({ cert, key }: Certificate): Behind {
    const { onError } = this.#options;
    const server = Deno.serve(
      {
        hostname: BEHIND,
        port: 0,
        cert,
        key,
        onListen: () => {},
        ...(onError === undefined ? {} : { onError }),
      },
      (request, info) => this.#answer(request, info),
    );
    const behind = { server, open: 0, isOld: false };
    this.#behind.add(behind);
    return behind;
  }

  #answer(
    request: Request,
    { remoteAddr: { port }, completed }: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ): Response | Promise<Response> {
    const remoteAddr = this.#peers.get(port);
    // Another process of this machine has found the port; its address cannot be told.
    if (remoteAddr === undefined) return new Response(null, { status: 421 });
    return this.#handler(request, { remoteAddr, completed });
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        const passed = this.#pass(connection).finally(() => this.#connections.delete(connection));
        this.#connections.set(connection, passed);
      }
    } catch (error) {
      if (!this.#isEnding) {
        this.#cut();
        throw error;
      }
    }
    await Promise.all(this.#connections.values());
  }

  async #pass(connection: Deno.TcpConn): Promise<void> {
    const behind = this.#current;
    behind.open++;
    try {
      using passed = await Deno.connect({ hostname: BEHIND, port: behind.server.addr.port });
      const { port } = passed.localAddr;
      this.#peers.set(port, connection.remoteAddr);
      try {
        await relay(connection, passed);
      } finally {
        this.#peers.delete(port);
      }
    } catch (error) {
      if (!this.#isEnding) logger.warning("A connection could not be taken: {error}", { error });
    } finally {
      close(connection);
      behind.open--;
      if (behind.isOld && behind.open === 0) this.#end(behind);
    }
  }

  #end(behind: Behind): void {
    this.#behind.delete(behind);
    void behind.server.shutdown();
  }

  /** Ends at once, and every connection with it. */
  #cut(): void {
    this.#isEnding = true;
    close(this.#listener);
    for (const connection of this.#connections.keys()) close(connection);
    for (const behind of this.#behind) this.#end(behind);
  }
}

/** Closes what may be closed already. */
function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
