/**
 * Keeps a local database in step with its gateway: one upload and one download that never wait for
 * each other.
 *
 * @module
 */

import { Download } from "./download.ts";
import type { ClientEnvironment } from "./environment.ts";
import type { Replica } from "./replica.ts";
import type { StatusValue } from "./status.ts";
import { HttpTransport } from "./transport/http.ts";
import { type GetToken, TokenKeeper } from "./transport/token.ts";
import { Upload } from "./upload.ts";
import { Verification } from "./verification.ts";
import type { Verified } from "./verify.ts";

/** The clock offset is stored anew when it moved by more than this, in milliseconds. */
const OFFSET_STEP_MS = 250;

/** What syncing needs. */
export interface SyncOptions {
  /** Clock, timers, randomness, network. */
  readonly env: ClientEnvironment;
  /** The local database. */
  readonly replica: Replica;
  /** The server, `http:` or `https:`. */
  readonly url: string;
  /** The gateway's id. */
  readonly gateway: string;
  /** Gives a token. */
  readonly getToken: GetToken;
  /** Where the state is shown. */
  readonly status: StatusValue;
  /** The time between two comparisons of many rows with the gateway's checksums, in milliseconds;
   * ten minutes unless given. */
  readonly verifyEveryMs?: number;
}

const VERIFY_EVERY_MS = 10 * 60_000;

function liveUrlOf(url: string, gateway: string): string {
  const live = new URL(`${url.replace(/\/+$/, "")}/v1/sync/${encodeURIComponent(gateway)}`);
  live.protocol = live.protocol === "https:" ? "wss:" : "ws:";
  return live.href;
}

/** The sync loop of one client. */
export class Sync {
  readonly #options: SyncOptions;
  readonly #tokens: TokenKeeper;
  readonly #download: Download;
  readonly #upload: Upload;
  readonly #verification: Verification;
  readonly #stopListening: () => void;
  #offsetMs: number | undefined;

  /**
   * Makes the loop; it begins with {@linkcode Sync.resume}.
   *
   * @param options what it works with
   */
  constructor(options: SyncOptions) {
    const { env, replica, url, gateway, status } = options;
    this.#options = options;
    this.#tokens = new TokenKeeper(options.getToken, env.setTimer);
    const http = new HttpTransport(env, url, gateway, this.#tokens);
    const onServerTime = (serverTime: string, sentMs: number) =>
      this.#serverTime(serverTime, sentMs);
    this.#verification = new Verification({
      env,
      replica,
      status,
      everyMs: options.verifyEveryMs ?? VERIFY_EVERY_MS,
      onRepair: () => this.#download.fire("repair"),
    });
    this.#download = new Download({
      env,
      replica,
      http,
      tokens: this.#tokens,
      status,
      liveUrl: liveUrlOf(url, gateway),
      onServerTime,
      onOnline: () => this.#upload.reached(),
      onNeedsToken: () => this.#upload.hold(),
      onAllowed: () => this.#upload.resume(),
      onCheckpoint: (applied) => {
        this.#countPending();
        this.#verification.checkpoint(applied);
      },
    });
    this.#upload = new Upload({
      env,
      replica,
      http,
      status,
      onServerTime,
      onNeedsToken: () => this.#download.fire("unauthorized"),
      rename: (step) => this.#download.rename(step),
      onPushed: () => this.#countPending(),
    });
    this.#stopListening = replica.onLocalCommit(() => this.#countPending());
  }

  /** Begins, or goes on after a pause, a refusal or for want of a token. */
  resume(): void {
    this.#tokens.forget();
    this.#countPending();
    this.#download.fire("resume");
    this.#download.fire("retry");
    this.#upload.resume();
  }

  /** Holds everything until {@linkcode Sync.resume}. */
  pause(): void {
    this.#upload.hold();
    this.#download.fire("pause");
  }

  /** Compares the rows here with what the gateway told, and fetches again what differs. */
  async verify(): Promise<Verified | undefined> {
    return await this.#verification.run();
  }

  /** Ends it for ever. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#download.fire("close");
    await this.#upload.close();
    await this.#download.settled();
    await this.#verification.close();
    await this.#counting;
  }

  #counting: Promise<void> = Promise.resolve();

  #countPending(): Promise<void> {
    const { replica, status } = this.#options;
    this.#counting = this.#counting.then(async () => {
      const { doubts, highestMutationId, lastMutationId, settledMutationId } = await replica
        .state();
      status.set({ pending: Math.max(0, highestMutationId - lastMutationId) });
      if (settledMutationId < highestMutationId || doubts > 0) this.#upload.wake();
    }).catch(() => {});
    return this.#counting;
  }

  /**
   * Takes in the gateway's time, which it told at some moment between question and answer. What is
   * known of the offset stands as long as it is possible by that: a slow answer says little.
   */
  async #serverTime(serverTime: string, sentMs: number): Promise<void> {
    const { env, replica } = this.#options;
    const serverMs = Date.parse(serverTime);
    if (!Number.isFinite(serverMs)) return;
    const least = serverMs - env.now();
    const most = serverMs - sentMs;
    const known = this.#offsetMs ?? 0;
    const offsetMs = Math.round(Math.max(least, Math.min(known, most)));
    if (this.#offsetMs !== undefined && Math.abs(offsetMs - known) < OFFSET_STEP_MS) return;
    // Where it cannot be stored, the next answer's time is.
    await replica.setClockOffset(offsetMs);
    this.#offsetMs = offsetMs;
  }
}
