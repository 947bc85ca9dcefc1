/**
 * A gateway behind fetch and sockets that are none: what a client's whole loop needs of it, in
 * memory.
 *
 * @module
 */

import {
  decodeClientFrame,
  decodePull,
  decodePush,
  encodeError,
  encodePullResult,
  encodePushResult,
  encodeServerFrame,
  ERROR_STATUS,
  type ErrorCode,
  type Hlc,
  PROTOBUF_TYPE,
  type PullRequest,
  type PullResult,
} from "@lakesync/core";
import type { BucketGateway } from "./testing_buckets.ts";

/** A gateway with one client. */
export class BucketServer {
  /** The data. */
  readonly gateway: BucketGateway;
  /** What was asked, over HTTP or by hello, in order. */
  readonly asked: PullRequest[] = [];
  /** Whether everything is refused. */
  forbidden = false;
  /** Whether repairs are passed over. */
  ignoresRepair = false;
  /** Answers requests for the stream of a checkpoint. */
  checkpoint: (request: Request) => Promise<Response> = () =>
    Promise.resolve(new Response("Not found", { status: 404 }));
  /** Answers pushes before the gateway does; undefined: the gateway does. */
  onPush: () => Response | undefined = () => undefined;
  /** Changes pages on their way. */
  edit: (page: PullResult) => PullResult = (page) => page;
  /** The highest mutationId that was pushed. */
  pushed = 0;
  #wake: () => void = () => {};
  #commits = 0;
  #answered = 0;
  readonly #sockets = new Set<FakeSocket>();

  /** @param gateway the data */
  constructor(gateway: BucketGateway) {
    this.gateway = gateway;
  }

  /** Answers pulls that wait, and sends to sockets. */
  commit(): void {
    this.#commits++;
    this.#wake();
    for (const socket of this.#sockets) socket.pull([]);
  }

  /** The pages after a request. */
  pages({ cursor, repair = [] }: PullRequest): PullResult[] {
    if (cursor === undefined) this.gateway.forget();
    return this.gateway.pull(this.ignoresRepair ? [] : repair).map(this.edit);
  }

  /** In place of the runtime's fetch. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (init?.method !== "POST") return await this.checkpoint(new Request(input, init));
    const body = new Uint8Array(await new Response(init?.body).arrayBuffer());
    if (this.forbidden) return refusal();
    if (String(input).endsWith("/push")) return this.#push(body);
    const request = decodePull(body);
    this.asked.push(request);
    const news = request.repair !== undefined && !this.ignoresRepair;
    if ((request.wait ?? 0) > 0 && !news) await this.#news(init?.signal ?? undefined);
    this.#answered = this.#commits;
    const [page] = this.pages(request);
    return page === undefined ? refusal() : answer(encodePullResult(page));
  };

  #push(body: Uint8Array): Response {
    const early = this.onPush();
    if (early !== undefined) return early;
    const { transactions } = decodePush(body);
    this.pushed = transactions.at(-1)?.mutationId ?? this.pushed;
    this.gateway.lastMutationId = this.pushed;
    return answer(encodePushResult({
      lastMutationId: this.pushed,
      rejected: [],
      seq: 1,
      serverTime: new Date().toISOString(),
      serverHlc: 1n as Hlc,
    }));
  }

  async #news(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#answered < this.#commits) return;
    await new Promise<void>((resolve, reject) => {
      this.#wake = resolve;
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  }

  /** In place of the runtime's WebSocket. */
  readonly openSocket = (): WebSocket => {
    const socket = new FakeSocket(this, () => this.#sockets.delete(socket));
    this.#sockets.add(socket);
    return socket as unknown as WebSocket;
  };
}

function answer(body: Uint8Array): Response {
  return new Response(new Uint8Array(body), { headers: { "content-type": PROTOBUF_TYPE } });
}

function refusal(): Response {
  return errorAnswer("FORBIDDEN");
}

/** The gateway's answer with an error. */
export function errorAnswer(code: ErrorCode): Response {
  const body = encodeError({ error: "Not allowed", code, requestId: "r" });
  return new Response(new Uint8Array(body), {
    status: ERROR_STATUS[code],
    headers: { "content-type": PROTOBUF_TYPE },
  });
}

/** The gateway's end and the client's in one. */
class FakeSocket {
  readonly OPEN = 1;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly #server: BucketServer;
  readonly #ended: () => void;

  constructor(server: BucketServer, ended: () => void) {
    this.#server = server;
    this.#ended = ended;
    queueMicrotask(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.onopen?.();
    });
  }

  #tell(frame: Parameters<typeof encodeServerFrame>[0]): void {
    const data = new Uint8Array(encodeServerFrame(frame)).buffer;
    queueMicrotask(() => this.onmessage?.({ data }));
  }

  /** Sends what there is. */
  pull(repair: readonly string[], cursor?: string): void {
    const request = { clientId: "", repair, cursor: cursor ?? "live" };
    for (const result of this.#server.pages(request)) this.#tell({ type: "changes", result });
  }

  send(data: Uint8Array): void {
    const frame = decodeClientFrame(data);
    if (frame.type !== "hello") return;
    const { cursor, repair = [] } = frame.hello;
    this.#server.asked.push(frame.hello);
    this.#tell({ type: "welcome", serverTime: new Date().toISOString(), limits: {} });
    if (this.#server.forbidden) {
      const error = { error: "Not allowed", code: "FORBIDDEN", requestId: "r" } as const;
      return this.#tell({ type: "error", error });
    }
    if (cursor === undefined) this.#server.gateway.forget();
    this.pull(repair, cursor);
  }

  close(): void {
    this.readyState = 3;
    this.#ended();
  }
}
