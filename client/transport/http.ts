/**
 * Pushes, pulls and streams of checkpoints over HTTP, in the protocol's binary form.
 *
 * @module
 */

import {
  decodeError,
  decodePullResult,
  decodePushResult,
  encodePull,
  encodePush,
  LakeSyncError,
  PROTOBUF_TYPE,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type PushResult,
} from "@lakesync/core";
import type { ClientEnvironment } from "../environment.ts";
import { CHECKPOINT_TYPE, DamagedStreamError, readFrames, type StreamFrame } from "./frames.ts";
import { NeedsTokenError, OfflineError, toError } from "./problem.ts";
import type { TokenKeeper } from "./token.ts";

/** How long an answer may take beyond what was asked to wait, in milliseconds. */
const ANSWER_WITHIN_MS = 60_000;

/** The status of a body that is too large; proxies on the way have limits of their own. */
const PAYLOAD_TOO_LARGE = 413;

/** What is answered where there are no checkpoints. */
const NO_SUCH_PATH: readonly number[] = [404, 405, 501];

/** What a checkpoint's stream is asked for with. */
export interface CheckpointRequest {
  /** The database that asks. */
  readonly clientId: string;
  /** Its schema version. */
  readonly schemaVersion: number;
  /** Where a stream that broke off is to go on. */
  readonly after?: { readonly etag: string; readonly chunks: number };
}

/** A checkpoint's stream. */
export interface CheckpointAnswer {
  /** Whether it goes on where it was asked to; if not, it begins with its first chunk. */
  readonly resumed: boolean;
  /** The frames, each read when it is asked for; leaving the loop ends the request. */
  readonly frames: AsyncIterable<StreamFrame>;
}

/** Requests to one gateway. */
export class HttpTransport {
  readonly #env: ClientEnvironment;
  readonly #base: string;
  readonly #tokens: TokenKeeper;

  /**
   * @param env fetch and timers
   * @param url the server, for instance `https://sync.example.com`
   * @param gateway the gateway's id
   * @param tokens gives the token
   */
  constructor(env: ClientEnvironment, url: string, gateway: string, tokens: TokenKeeper) {
    this.#env = env;
    this.#base = `${url.replace(/\/+$/, "")}/v1/sync/${encodeURIComponent(gateway)}`;
    this.#tokens = tokens;
  }

  /**
   * Pushes.
   *
   * @throws {LakeSyncError} what the gateway answered
   * @throws {OfflineError} when nobody answered
   * @throws {NeedsTokenError} when the token was refused twice
   */
  async push(request: PushRequest, signal: AbortSignal): Promise<PushResult> {
    return decodePushResult(await this.#send("push", encodePush(request), signal, 0));
  }

  /**
   * Pulls.
   *
   * @throws {LakeSyncError} what the gateway answered
   * @throws {OfflineError} when nobody answered
   * @throws {NeedsTokenError} when the token was refused twice
   */
  async pull(request: PullRequest, signal: AbortSignal): Promise<PullResult> {
    const waitMs = (request.wait ?? 0) * 1000;
    return decodePullResult(await this.#send("pull", encodePull(request), signal, waitMs));
  }

  /**
   * Asks for the stream of a checkpoint.
   *
   * @returns undefined when what answers has no such streams
   * @throws {LakeSyncError} what the gateway answered
   * @throws {DamagedStreamError} when something else answered, or a stream that is damaged
   * @throws {OfflineError} when nobody answered
   * @throws {NeedsTokenError} when the token was refused twice
   */
  async checkpoint(
    request: CheckpointRequest,
    signal: AbortSignal,
  ): Promise<CheckpointAnswer | undefined> {
    return await this.#withToken(signal, (token) => this.#openCheckpoint(request, signal, token));
  }

  async #openCheckpoint(
    { clientId, schemaVersion, after }: CheckpointRequest,
    signal: AbortSignal,
    token: string,
  ): Promise<CheckpointAnswer | undefined> {
    const query = new URLSearchParams({ clientId, schemaVersion: String(schemaVersion) });
    const watch = new Watchdog(this.#env, signal);
    let response: Response;
    try {
      response = await watch.within(() =>
        this.#env.fetch(`${this.#base}/checkpoint?${query}`, {
          headers: {
            accept: `${CHECKPOINT_TYPE}, ${PROTOBUF_TYPE}`,
            authorization: `Bearer ${token}`,
            ...(after === undefined
              ? {}
              : { range: `chunks=${after.chunks}-`, "if-range": after.etag }),
          },
          cache: "no-store",
          signal: watch.signal,
        })
      );
    } catch (error) {
      signal.throwIfAborted();
      throw new OfflineError("The gateway could not be reached", { cause: error });
    }
    const { body } = response;
    const isStream = response.headers.get("content-type")?.startsWith(CHECKPOINT_TYPE) ?? false;
    if (response.ok && isStream && body !== null) {
      return { resumed: response.status === 206, frames: framesOf(body, watch, signal) };
    }
    if (!response.ok && isGateways(response)) {
      throw errorOf(response, new Uint8Array(await watch.within(() => response.arrayBuffer())));
    }
    await body?.cancel();
    if (NO_SUCH_PATH.includes(response.status)) return undefined;
    throw new DamagedStreamError(notGateways(response).message);
  }

  async #send(
    path: string,
    body: Uint8Array,
    signal: AbortSignal,
    waitMs: number,
  ): Promise<Uint8Array> {
    return await this.#withToken(
      signal,
      (token) => this.#sendOnce(path, body, signal, waitMs, token),
    );
  }

  /** Sends a request, and once more with a fresh token when the first one is refused. */
  async #withToken<T>(signal: AbortSignal, send: (token: string) => Promise<T>): Promise<T> {
    const token = await this.#tokens.get(signal);
    try {
      return await send(token);
    } catch (error) {
      if (!(error instanceof LakeSyncError) || error.code !== "AUTH_ERROR") throw error;
      const fresh = await this.#tokens.refresh(token, signal);
      try {
        return await send(fresh);
      } catch (again) {
        if (!(again instanceof LakeSyncError) || again.code !== "AUTH_ERROR") throw again;
        this.#tokens.forget();
        throw new NeedsTokenError(again.message, { cause: again });
      }
    }
  }

  async #sendOnce(
    path: string,
    body: Uint8Array,
    signal: AbortSignal,
    waitMs: number,
    token: string,
  ): Promise<Uint8Array> {
    const late = new AbortController();
    const cancelTimer = this.#env.setTimer(ANSWER_WITHIN_MS + waitMs, () => late.abort());
    try {
      const response = await this.#env.fetch(`${this.#base}/${path}`, {
        method: "POST",
        headers: {
          "content-type": PROTOBUF_TYPE,
          accept: PROTOBUF_TYPE,
          authorization: `Bearer ${token}`,
        },
        body: new Uint8Array(body),
        signal: AbortSignal.any([signal, late.signal]),
      });
      const answer = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw errorOf(response, answer);
      if (!isGateways(response)) throw notGateways(response);
      return answer;
    } catch (error) {
      if (error instanceof LakeSyncError || error instanceof OfflineError) throw error;
      signal.throwIfAborted();
      throw new OfflineError("The gateway could not be reached", { cause: error });
    } finally {
      cancelTimer();
    }
  }
}

/** Gives up a request when nothing comes for too long. */
class Watchdog {
  readonly #late = new AbortController();
  readonly #env: ClientEnvironment;
  /** Aborts with the caller's, or when it was too long. */
  readonly signal: AbortSignal;

  constructor(env: ClientEnvironment, signal: AbortSignal) {
    this.#env = env;
    this.signal = AbortSignal.any([signal, this.#late.signal]);
  }

  /** Waits for something that the request gives. */
  async within<T>(waits: () => Promise<T>): Promise<T> {
    const cancelTimer = this.#env.setTimer(ANSWER_WITHIN_MS, () => this.#late.abort());
    try {
      return await waits();
    } finally {
      cancelTimer();
    }
  }
}

/** Reads frames; nothing is read before it is asked for. */
async function* framesOf(
  body: ReadableStream<Uint8Array>,
  watch: Watchdog,
  signal: AbortSignal,
): AsyncGenerator<StreamFrame> {
  const reader = body.getReader();
  try {
    yield* readFrames(async () => {
      try {
        return (await watch.within(() => reader.read())).value;
      } catch (cause) {
        signal.throwIfAborted();
        throw new DamagedStreamError("The checkpoint's stream broke off", { cause });
      }
    });
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** An answer of something between client and gateway, a proxy's page for instance, is no gateway's. */
function isGateways(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith(PROTOBUF_TYPE) ?? false;
}

function notGateways({ status }: Response): OfflineError {
  return new OfflineError(`The answer with status ${status} was no gateway's`);
}

function errorOf(response: Response, answer: Uint8Array): Error {
  if (isGateways(response)) {
    try {
      return toError(decodeError(answer));
    } catch {
      return notGateways(response);
    }
  }
  if (response.status === PAYLOAD_TOO_LARGE) {
    return new LakeSyncError("PAYLOAD_TOO_LARGE", "Something on the way takes smaller bodies only");
  }
  return notGateways(response);
}
