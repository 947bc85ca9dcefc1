/**
 * `/v1/admin/cursors/…`: how far sources and destinations of a gateway are, and forgetting one of
 * them. For tokens of role admin.
 *
 * @module
 */

import { type JsonValue, LakeSyncError, parseJsonBody } from "@lakesync/core";
import type { SavedCursor } from "../gateway/cursors.ts";
import { admitAdmin, boundsOf } from "./admin.ts";
import { readBody, utf8 } from "./body.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { findGateway } from "./guard.ts";
import { bodyFormat } from "./media.ts";
import { replyJson } from "./reply.ts";

/** A destination has so long to note that it is to be filled, in milliseconds. */
const RESET_ANSWER_MS = 25_000;

function cursorJson({ name, value, savedMs }: SavedCursor): JsonValue {
  return { name, value, savedAt: new Date(savedMs).toISOString() };
}

/** `GET /v1/admin/cursors/:gatewayId`. */
export function cursorsHandler(context: ServerContext): Handler {
  return async (c) => {
    const { cursors } = await findGateway(context, await admitAdmin(context, c));
    return replyJson(c.req.raw, { cursors: (await cursors.list()).map(cursorJson) });
  };
}

async function readName(c: RequestContext): Promise<string> {
  if (bodyFormat(c.req.raw.headers) !== "json") {
    throw new LakeSyncError(
      "UNSUPPORTED_MEDIA_TYPE",
      "A cursor's name is sent as application/json",
    );
  }
  const body = parseJsonBody(utf8(await readBody(c.req.raw, boundsOf(c))));
  const isObject = typeof body === "object" && body !== null && "name" in body;
  if (isObject && Object.keys(body).length === 1 && typeof body.name === "string") return body.name;
  throw new LakeSyncError("VALIDATION_ERROR", 'The body is {"name": "…"}, the name of a cursor');
}

/** Resets the destination of a cursor; undefined when it is no destination's. */
async function resetDestination(
  { destinations }: ServerContext,
  gatewayId: string,
  name: string,
): Promise<"filled" | "asked" | undefined> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("It did not answer")), RESET_ANSWER_MS);
  try {
    return await Promise.race([destinations?.reset(gatewayId, name), late]);
  } catch (cause) {
    if (cause instanceof LakeSyncError) throw cause;
    throw new LakeSyncError(
      "ADAPTER_ERROR",
      "The destination could not be told to begin anew, nothing was reset; try again when it answers",
      {},
      { cause },
    );
  } finally {
    clearTimeout(timer);
  }
}

/**
 * `POST /v1/admin/cursors/:gatewayId/reset`: forgets a cursor. A source is read from its beginning
 * then. A destination keeps what it has, so it loses nothing: a database is filled from all rows
 * anew, a lake is asked again where it stands.
 */
export function resetCursorHandler(context: ServerContext): Handler {
  return async (c) => {
    const { id, cursors } = await findGateway(context, await admitAdmin(context, c));
    const name = await readName(c);
    c.env.scope.auditDetails = { name };
    c.env.scope.deadline.allow(RESET_ANSWER_MS);
    const done = await resetDestination(context, id, name);
    // Where a destination stands is kept again as soon as it has said so.
    const isKnown = done !== undefined || await cursors.reset(name);
    if (!isKnown) throw new LakeSyncError("NOT_FOUND", "There is no cursor of that name");
    return replyJson(c.req.raw, { name, filled: done === "filled" });
  };
}
