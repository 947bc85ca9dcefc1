/**
 * `GET /v1/sync/:gatewayId/checkpoint`: the stream of docs/adr/0009-checkpoints.md.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { checkClientId } from "../bounds.ts";
import type { CheckpointRequest } from "../gateway/checkpoint.ts";
import type { Handler, ServerContext } from "./context.ts";
import { admit, admitAgain, findGateway } from "./guard.ts";
import { pacedStream } from "./paced.ts";
import type { RequestScope } from "./request_scope.ts";

/** The content type of the stream. */
export const CHECKPOINT_TYPE = "application/vnd.lakesync.checkpoint";

function readRequest({ url, headers }: Request): CheckpointRequest {
  const query = new URL(url).searchParams;
  const clientId = query.get("clientId") ?? "";
  checkClientId(clientId);
  const version = query.get("schemaVersion") ?? "0";
  if (!/^\d{1,15}$/.test(version)) {
    throw new LakeSyncError("VALIDATION_ERROR", "schemaVersion is a whole number from 0");
  }
  const request = { clientId, schemaVersion: Number(version) };
  const from = /^chunks=(\d{1,9})-$/.exec(headers.get("Range") ?? "")?.[1];
  const etag = headers.get("If-Range");
  // A range without the etag it belongs to would be a part of something else.
  if (from === undefined || etag === null) return request;
  return { ...request, etag, fromChunk: Number(from) };
}

function isKnown(header: string | null, etag: string): boolean {
  return header !== null && header.split(",").some((item) => item.trim() === etag);
}

/** Frames, as long as their reader may have them. */
async function* admitted(
  frames: AsyncIterable<Uint8Array>,
  context: ServerContext,
  scope: RequestScope,
): AsyncIterable<Uint8Array> {
  for await (const frame of frames) {
    await admitAgain(context, scope);
    yield frame;
  }
}

/** Makes the handler. */
export function checkpointHandler(context: ServerContext): Handler {
  return async (c) => {
    const request = c.req.raw;
    const { gatewayId, caller } = await admit(
      context,
      c.env.scope,
      c.req.param("gatewayId"),
    );
    const gateway = await findGateway(context, gatewayId);
    const asked = readRequest(request);
    c.env.scope.clientId = asked.clientId;
    await admitAgain(context, c.env.scope);
    const { etag, resumed, frames } = await gateway.checkpoint(caller, asked);
    const headers = {
      "ETag": etag,
      "Cache-Control": "private, no-cache",
      "Vary": "Authorization",
    };
    if (isKnown(request.headers.get("If-None-Match"), etag)) {
      return new Response(null, { status: 304, headers });
    }
    return new Response(
      request.method === "HEAD"
        ? null
        : pacedStream(admitted(frames, context, c.env.scope), c.env.scope),
      {
        status: resumed ? 206 : 200,
        headers: {
          ...headers,
          "Content-Type": CHECKPOINT_TYPE,
          "Accept-Ranges": "chunks",
          ...(resumed ? { "Content-Range": `chunks ${asked.fromChunk}-/*` } : {}),
        },
      },
    );
  };
}
