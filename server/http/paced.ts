/**
 * Answers that leave piece by piece, each when the one before was taken. So they are under way until
 * they have left, a reader that stalls is given up, and nothing more is made ready for it.
 *
 * @module
 */

import type { RequestScope } from "./request_scope.ts";

/** Bodies of so many bytes are given in pieces; smaller ones the system takes at once. */
export const LARGE_BODY_BYTES: number = 64 * 1024;

/**
 * Gives pieces as their reader takes them. Each has the time of a request; a stream whose reader takes
 * longer ends before its end, which the reader notices.
 *
 * @param pieces what to give
 * @param scope the request
 */
export function pacedStream(
  pieces: AsyncIterable<Uint8Array>,
  scope: RequestScope,
): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  const { deadline, signal } = scope;
  scope.stream = "open";
  const end = async (how: "ended" | "cut") => {
    if (scope.stream === "open") scope.stream = how;
    await iterator.return?.();
  };
  return new ReadableStream({
    start(controller) {
      signal.addEventListener("abort", () => {
        if (scope.stream !== "open") return;
        controller.error(signal.reason);
        end("cut").catch(() => {});
      }, { once: true });
    },
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (signal.aborted) return;
        deadline.renew();
        if (!done) return controller.enqueue(value);
        controller.close();
        await end("ended");
      } catch (error) {
        if (!signal.aborted) controller.error(error);
        await end("cut");
      }
    },
    cancel: () => end("cut"),
  }, { highWaterMark: 0 });
}

async function* piecesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += LARGE_BODY_BYTES) {
      yield chunk.subarray(at, at + LARGE_BODY_BYTES);
    }
  }
}

/**
 * Paces an answer that says it is large.
 *
 * @param response the answer
 * @param scope the request
 * @returns the same answer, with a body in pieces if it is large
 */
export function paced(response: Response, scope: RequestScope): Response {
  const bytes = Number(response.headers.get("Content-Length") ?? "0");
  if (bytes < LARGE_BODY_BYTES || scope.stream !== undefined) return response;
  // To look at a body makes a stream of it, which the runtime sends in another way.
  const { body } = response;
  return body === null ? response : new Response(pacedStream(piecesOf(body), scope), response);
}
