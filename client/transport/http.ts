/**
 * Pushes and pulls over HTTP, in the protocol's binary form.
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
import { NeedsTokenError, OfflineError, toError } from "./problem.ts";
import type { TokenKeeper } from "./token.ts";

/** How long an answer may take beyond what was asked to wait, in milliseconds. */
const ANSWER_WITHIN_MS = 60_000;

/** The status of a body that is too large; proxies on the way have limits of their own. */
const PAYLOAD_TOO_LARGE = 413;

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

  async #send(
    path: string,
    body: Uint8Array,
    signal: AbortSignal,
    waitMs: number,
  ): Promise<Uint8Array> {
    const token = await this.#tokens.get(signal);
    try {
      return await this.#sendOnce(path, body, signal, waitMs, token);
    } catch (error) {
      if (!(error instanceof LakeSyncError) || error.code !== "AUTH_ERROR") throw error;
      const fresh = await this.#tokens.refresh(token, signal);
      try {
        return await this.#sendOnce(path, body, signal, waitMs, fresh);
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
