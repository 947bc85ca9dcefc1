/**
 * `/v1/admin/destinations/…` and `/v1/admin/flush/…`: how destinations stand, what they did not
 * take, and flushing now. For tokens of role admin.
 *
 * @module
 */

import type { RowProblem } from "@lakesync/adapters";
import type { JsonValue } from "@lakesync/core";
import { readBody } from "./body.ts";
import { admitAdmin, boundsOf } from "./admin.ts";
import type { Handler, ServerContext } from "./context.ts";
import type { DestinationStatus } from "../destinations/outflow.ts";
import { findGateway } from "./guard.ts";
import { lakeJson } from "./lakes.ts";
import { within } from "../within.ts";
import { replyJson } from "./reply.ts";

/** A request to flush is answered after so long, in milliseconds, whatever has arrived by then. */
const FLUSH_ANSWER_MS = 25_000;

/** How long a destination may take to tell which rows it did not take, in milliseconds. */
const PROBLEMS_TIMEOUT_MS = 5_000;

/**
 * A destination's status as JSON.
 *
 * @param status the status
 */
export function statusJson(
  { name, state, position, lagCommits, lagChanges, lagMs, failures, lastError }: DestinationStatus,
): JsonValue {
  return {
    name,
    state,
    seq: String(position?.seq ?? 0),
    lagCommits,
    lagChanges,
    lagSeconds: lagMs / 1000,
    failures,
    ...(lastError === undefined ? {} : {
      lastError: { message: lastError.message, at: new Date(lastError.atMs).toISOString() },
    }),
  };
}

/** Rows that a destination did not take; undefined while it does not answer. */
async function problemsOf(
  { destinations }: ServerContext,
  gatewayId: string,
  name: string,
): Promise<readonly RowProblem[] | undefined> {
  let found: readonly RowProblem[] | undefined;
  const asked = destinations?.problems(gatewayId, name).then((problems) => found = problems);
  await within(PROBLEMS_TIMEOUT_MS, Promise.resolve(asked)).catch(() => {});
  return found;
}

/**
 * `GET /v1/admin/destinations/:gatewayId`: status, rows that were not taken, and how far the tables of
 * lakes are.
 */
export function destinationsHandler(context: ServerContext): Handler {
  return async (c) => {
    const { id } = await findGateway(context, await admitAdmin(context, c));
    const destinations = await Promise.all(
      (context.destinations?.status(id) ?? []).map(async (status) => {
        const problems = await problemsOf(context, id, status.name);
        return {
          ...statusJson(status) as object,
          ...(problems === undefined ? {} : {
            problems: problems.map(({ key, table, kind, reason, code, seq, atMs }) => ({
              table,
              rowId: key.rowId,
              kind,
              reason,
              ...(code === undefined ? {} : { code }),
              seq: String(seq),
              at: new Date(atMs).toISOString(),
            })),
          }),
        };
      }),
    );
    const lakes = (context.lakes?.all() ?? []).filter(({ gatewayId }) => gatewayId === id);
    return replyJson(c.req.raw, {
      destinations,
      ...(lakes.length === 0 ? {} : { lakes: lakes.map(lakeJson) }),
    });
  };
}

/** `POST /v1/admin/flush/:gatewayId`: flushes what was committed before to all destinations. */
export function flushHandler(context: ServerContext): Handler {
  return async (c) => {
    const { id } = await findGateway(context, await admitAdmin(context, c));
    await readBody(c.req.raw, boundsOf(c));
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), FLUSH_ANSWER_MS);
    c.env.scope.deadline.allow(FLUSH_ANSWER_MS);
    const flushing = context.destinations?.flushNow(id) ?? new Map<string, unknown>();
    const errors = await Promise.race([flushing, late]);
    clearTimeout(timer);
    const isFlushed = ({ name, lagCommits }: DestinationStatus) =>
      errors === undefined ? lagCommits === 0 : !errors.has(name);
    const states = context.destinations?.status(id) ?? [];
    c.env.scope.auditDetails = {
      destinations: states.length,
      flushed: states.filter(isFlushed).length,
    };
    const destinations = states.map((status) => ({
      ...statusJson(status) as object,
      flushed: isFlushed(status),
    }));
    return replyJson(c.req.raw, { destinations });
  };
}
