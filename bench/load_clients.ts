/**
 * The two kinds of clients of the load script: a live one, which pushes over its WebSocket and
 * reads what the others of its team commit, and one that only pushes, over HTTP.
 *
 * @module
 */

import {
  decodePushResult,
  decodeServerFrame,
  type Delta,
  encodeClientFrame,
  encodePush,
  PROTOBUF_TYPE,
  type PushRequest,
  type PushResult,
} from "@lakesync/core";
import { CutError, LoadConnection } from "./load_http.ts";
import { LoadSocket, type SocketEnd } from "./load_socket.ts";
import type { Commit, Tally } from "./load_tally.ts";
import type { User } from "./load_world.ts";
import { GATEWAY } from "./load_world.ts";
import { toRequest } from "./raw_http.ts";

/** Something that pushes. One whose push fails pushes nothing more: the next would leave a gap. */
export interface Pusher {
  readonly user: User;
  /** Pushes a commit, after those before it. */
  push(commit: Commit, delta: Delta): void;
}

interface Sent {
  readonly mutationId: number;
  readonly commit: Commit;
}

function pushOf(user: User, mutationId: number, delta: Delta): PushRequest {
  return { clientId: user.id, schemaVersion: 1, transactions: [{ mutationId, deltas: [delta] }] };
}

/** Why a push was not taken whole; undefined when it was. */
function refusal({ rejected: [first], stopped }: PushResult): string | undefined {
  const why = stopped ?? first;
  return why && `refused by ${why.code}: ${why.message}`;
}

/** A live client. */
export class LiveClient implements Pusher {
  readonly user: User;
  readonly #tally: Tally;
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<SocketEnd>();
  readonly #sent: Sent[] = [];
  #socket: LoadSocket | undefined;
  #mutationId = 0;
  #failed = false;
  #closing = false;
  /** Whether the gateway said that it stops. */
  wasTold = false;

  private constructor(user: User, tally: Tally) {
    this.user = user;
    this.#tally = tally;
    this.#ready.promise.catch(() => {});
  }

  /** Connects and waits for the first checkpoint. */
  static async connect(gateway: URL, user: User, tally: Tally): Promise<LiveClient> {
    const client = new LiveClient(user, tally);
    const url = new URL(`/v1/sync/${GATEWAY}`, gateway);
    client.#socket = await LoadSocket.open(url, ["lakesync.v1", `bearer.${user.token}`], {
      message: (data) => client.#message(data),
      ended: (end) => client.#end(end),
    });
    const hello = { clientId: user.id, schemaVersion: 1 };
    client.#socket.send(encodeClientFrame({ type: "hello", hello }));
    await client.#ready.promise;
    return client;
  }

  /** How the connection ended, once it has. */
  get ended(): Promise<SocketEnd> {
    return this.#ended.promise;
  }

  push(commit: Commit, delta: Delta): void {
    if (this.#failed) return;
    const mutationId = ++this.#mutationId;
    this.#sent.push({ mutationId, commit });
    const push = pushOf(this.user, mutationId, delta);
    this.#socket?.send(encodeClientFrame({ type: "push", push }));
  }

  /** Says goodbye. */
  close(): void {
    this.#closing = true;
    this.#socket?.close();
  }

  /** Ends the connection at once. */
  cut(): void {
    this.#closing = true;
    this.#socket?.cut();
  }

  #message(data: Uint8Array): void {
    const frame = decodeServerFrame(data);
    switch (frame.type) {
      case "changes": {
        const { changes, cursor, complete } = frame.result;
        this.#tally.pages++;
        for (const { rowId } of changes) this.#tally.seen(rowId, this.user.id);
        this.#socket?.send(encodeClientFrame({ type: "ack", cursor }));
        if (complete) this.#ready.resolve();
        return;
      }
      case "pushResult":
        return this.#answered(frame.result);
      case "error":
        return this.#fail(`${frame.error.code}: ${frame.error.error}`);
      case "resync":
        return this.#fail(`resync: ${frame.reason}`);
      case "draining":
        this.wasTold = true;
    }
  }

  #answered(result: PushResult): void {
    const why = refusal(result);
    if (why !== undefined) return this.#fail(why);
    while ((this.#sent[0]?.mutationId ?? Infinity) <= result.lastMutationId) {
      const sent = this.#sent.shift();
      if (sent !== undefined) this.#tally.acked(sent.commit);
    }
  }

  #fail(why: string): void {
    this.#failed = true;
    this.#tally.failed(why);
    this.#ready.reject(new Error(why));
  }

  #end(end: SocketEnd): void {
    if (!this.#closing) this.#fail(`the connection ended, code ${end.code ?? "none"}`);
    this.#ended.resolve(end);
  }
}

/** A client that only pushes. */
export class HttpClient implements Pusher {
  readonly user: User;
  readonly #url: URL;
  readonly #tally: Tally;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #queue: (readonly [Commit, Delta])[] = [];
  #connection: LoadConnection | undefined;
  #running: Promise<void> | undefined;
  #mutationId = 0;
  #failed = false;
  /** Whether the connection ended under a push. */
  wasCut = false;

  constructor(gateway: URL, user: User, tally: Tally) {
    this.user = user;
    this.#tally = tally;
    this.#url = new URL(`/v1/sync/${GATEWAY}/push`, gateway);
    this.#headers = {
      authorization: `Bearer ${user.token}`,
      "content-type": PROTOBUF_TYPE,
      accept: PROTOBUF_TYPE,
    };
  }

  push(commit: Commit, delta: Delta): void {
    if (this.#failed) return;
    this.#queue.push([commit, delta]);
    this.#running ??= this.#run();
  }

  /** Closes the connection once the pushes that were begun are answered. */
  async close(): Promise<void> {
    await this.#running;
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next === undefined) break;
        await this.#send(...next);
      }
    } catch (error) {
      this.#failed = true;
      this.wasCut = error instanceof CutError;
      this.#queue.length = 0;
      this.#tally.failed(error instanceof Error ? error.message : String(error));
    }
    this.#running = undefined;
  }

  async #send(commit: Commit, delta: Delta): Promise<void> {
    const body = encodePush(pushOf(this.user, ++this.#mutationId, delta));
    if (this.#connection?.isOpen !== true) this.#connection = await LoadConnection.open(this.#url);
    const answer = await this.#connection.send(toRequest(this.#url, this.#headers, body));
    const why = refusal(decodePushResult(answer));
    if (why !== undefined) throw new Error(why);
    this.#tally.acked(commit);
  }
}
