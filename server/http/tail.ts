/**
 * `GET /v1/admin/tail/:gatewayId`: what was committed after a place, for those who read a
 * destination and want what it does not have yet. For tokens of role admin.
 *
 * @module
 */

import type { Place } from "@lakesync/adapters";
import { encodeTailPage, type TailPage } from "@lakesync/adapters/lake/tail";
import { LakeSyncError } from "@lakesync/core";
import { type FollowedGateway, gatewaySource } from "../flush/source.ts";
import { admitAdmin } from "./admin.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { findGateway } from "./guard.ts";
import { replyJson } from "./reply.ts";

/** What a page may hold; an entry is whole, so it may be over this by one. */
const PAGE_LIMIT = { changes: 5_000, bytes: 4_000_000 };

function wholeOf(c: RequestContext, name: string): number | undefined {
  const text = c.req.query(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new LakeSyncError("VALIDATION_ERROR", `${name} is a whole number`);
}

function placeOf(c: RequestContext): Place {
  const seq = wholeOf(c, "after") ?? 0;
  const slice = wholeOf(c, "slice");
  return slice === undefined ? { seq } : { seq, slice };
}

/**
 * Reads on in the log of a gateway.
 *
 * @param gateway the gateway
 * @param after entries after this place
 */
export async function readTail(gateway: FollowedGateway, after: Place): Promise<TailPage> {
  const source = gatewaySource(gateway);
  const { entries, trimmed } = await source.read(after, PAGE_LIMIT);
  const { seq, lives } = await source.head();
  return { schema: source.schema, headSeq: seq, lives, entries, isTrimmed: trimmed };
}

/** `GET /v1/admin/tail/:gatewayId?after=<seq>&slice=<slice>`. */
export function tailHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await findGateway(context, await admitAdmin(context, c));
    const page = await readTail(gateway, placeOf(c));
    return replyJson(c.req.raw, encodeTailPage(page, gateway.schema?.spec));
  };
}
