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
    let frames: AsyncIterable<StreamFrame> | undefined;
    try {
      const response = await watch.within(
        ANSWER_WITHIN_MS,
        () =>
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
          }),
      );
      const { body, status, ok } = response;
      if (ok && isStream(response) && body !== null) {
        frames = framesOf(body, watch, signal);
        return { resumed: status === 206, frames };
      }
      const answer = await watch.within(ANSWER_WITHIN_MS, () => response.arrayBuffer());
      if (!ok && isGateways(response)) throw errorOf(response, new Uint8Array(answer));
      if (NO_SUCH_PATH.includes(status)) return undefined;
      throw new DamagedStreamError(notGateways(response).message);
    } catch (error) {
      throw unreachable(error, signal);
    } finally {
      if (frames === undefined) watch.end();
    }
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
    const watch = new Watchdog(this.#env, signal);
    try {
      const { response, answer } = await watch.within(ANSWER_WITHIN_MS + waitMs, async () => {
        const response = await this.#env.fetch(`${this.#base}/${path}`, {
          method: "POST",
          headers: {
            "content-type": PROTOBUF_TYPE,
            accept: PROTOBUF_TYPE,
            authorization: `Bearer ${token}`,
          },
          body: new Uint8Array(body),
          signal: watch.signal,
        });
        return { response, answer: new Uint8Array(await response.arrayBuffer()) };
      });
      if (!response.ok) throw errorOf(response, answer);
      if (!isGateways(response)) throw notGateways(response);
      return answer;
    } catch (error) {
      throw unreachable(error, signal);
    } finally {
      watch.end();
    }
  }
}

/** What a request failed by, if not by its caller. */
function unreachable(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof LakeSyncError || error instanceof OfflineError) return error;
  if (signal.aborted) return signal.reason;
  return new OfflineError("The gateway could not be reached", { cause: error });
}

function isStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith(CHECKPOINT_TYPE) ?? false;
}

/**
 * Gives up a request when the caller does, or when nothing comes for too long. What waits is given up
 * here and not by the request alone: a body that is being read does not hear of every signal.
 */
class Watchdog {
  readonly #env: ClientEnvironment;
  readonly #caller: AbortSignal;
  readonly #request = new AbortController();
  readonly #abort = () => this.#request.abort(this.#caller.reason);

  constructor(env: ClientEnvironment, caller: AbortSignal) {
    this.#env = env;
    this.#caller = caller;
    if (caller.aborted) this.#abort();
    else caller.addEventListener("abort", this.#abort);
  }

  /** Ends the request. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }

  /** Waits for something that the request gives, at most so long. */
  async within<T>(ms: number, waits: () => Promise<T>): Promise<T> {
    const { signal } = this;
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const end = () => reject(signal.reason);
    signal.addEventListener("abort", end);
    const cancelTimer = this.#env.setTimer(ms, () => this.#request.abort());
    try {
      signal.throwIfAborted();
      return await Promise.race([waits(), ended]);
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", end);
    }
  }

  /** Ends the request, if it has not ended. */
  end(): void {
    this.#caller.removeEventListener("abort", this.#abort);
    this.#request.abort();
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
        return (await watch.within(ANSWER_WITHIN_MS, () => reader.read())).value;
      } catch (cause) {
        signal.throwIfAborted();
        throw new DamagedStreamError("The checkpoint's stream broke off", { cause });
      }
    });
  } finally {
    watch.end();
    // Not waited for: who sends may be slow to hear of it, or never hear.
    void reader.cancel().catch(() => {});
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
