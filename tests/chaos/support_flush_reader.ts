/**
 * Pulls: of everything once, or of what is new all the time.
 *
 * @module
 */

import { decodePullResult, encodePull, PROTOBUF_TYPE, type PullResult } from "@lakesync/core";
import { signToken } from "@lakesync/server";
import { SECRET } from "./support_site.ts";

/**
 * Pulls one page.
 *
 * @param url where the gateway is
 * @param clientId the client and the user
 * @param cursor where the last page ended
 * @throws {Error} with what was answered instead of a page
 */
export async function pullPage(
  url: string,
  clientId: string,
  cursor: string | undefined,
): Promise<PullResult> {
  const token = await signToken({ secret: SECRET, sub: clientId, gw: "default" });
  const request = { clientId, schemaVersion: 1, limit: 1_000 };
  const response = await fetch(`${url}/v1/sync/default/pull`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": PROTOBUF_TYPE,
      accept: PROTOBUF_TYPE,
    },
    body: new Uint8Array(encodePull(cursor === undefined ? request : { ...request, cursor })),
  });
  const answer = new Uint8Array(await response.arrayBuffer());
  if (!response.ok) throw new Error(new TextDecoder().decode(answer));
  return decodePullResult(answer);
}

/** A client that pulls all the time. */
export class FlushReader {
  /** How long each pull took, in milliseconds. */
  readonly answerMs: number[] = [];
  /** What was answered instead of pages. */
  readonly failures: string[] = [];
  #isStopped = false;
  readonly #loop: Promise<void>;

  /**
   * Begins to pull.
   *
   * @param name the client and the user
   * @param url where the gateway is
   * @param everyMs the mean time between two pulls, in milliseconds
   */
  constructor(name: string, url: string, everyMs: number) {
    this.#loop = this.#pull(name, url, everyMs);
  }

  /** Ends after the pull that is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
  }

  async #pull(name: string, url: string, everyMs: number): Promise<void> {
    for (let cursor: string | undefined; !this.#isStopped;) {
      const start = performance.now();
      try {
        ({ cursor } = await pullPage(url, name, cursor));
        this.answerMs.push(performance.now() - start);
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 * everyMs));
    }
  }
}
