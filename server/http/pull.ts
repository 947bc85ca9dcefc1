/**
 * `GET` and `POST /v1/sync/:gatewayId/pull`.
 *
 * @module
 */

import {
  decodePull,
  encodePullResult,
  type JsonValue,
  parseJsonBody,
  pullFromJson,
  type PullRequest,
  pullResultToJson,
} from "@lakesync/core";
import { boundPull } from "../bounds.ts";
import { type BodyBounds, readBody, utf8 } from "./body.ts";
import type { Handler, ServerContext } from "./context.ts";
import { admit, admitAgain, findGateway } from "./guard.ts";
import { answerFormat, bodyFormat, CONTENT_TYPE } from "./media.ts";
import { reply, replyJson } from "./reply.ts";

const NUMBERS = ["limit", "wait", "schemaVersion"];

/** Puts a query into the shape of a JSON body; numbers that are none stay text and are refused. */
function queryToJson(query: URLSearchParams): JsonValue {
  const body: Record<string, JsonValue> = {};
  for (const name of ["clientId", "cursor", ...NUMBERS]) {
    const value = query.get(name);
    if (value === null) continue;
    body[name] = NUMBERS.includes(name) && /^\d+$/.test(value)
      ? Math.min(Number(value), Number.MAX_SAFE_INTEGER)
      : value;
  }
  if (query.has("repair")) body["repair"] = query.getAll("repair");
  return body;
}

async function readPull(
  request: Request,
  bounds: BodyBounds,
): Promise<PullRequest> {
  if (request.method === "GET" || request.method === "HEAD") {
    return pullFromJson(queryToJson(new URL(request.url).searchParams));
  }
  const format = bodyFormat(request.headers);
  const body = await readBody(request, bounds);
  return format === "json" ? pullFromJson(parseJsonBody(utf8(body))) : decodePull(body);
}

/** Makes the handler of both methods. */
export function pullHandler(context: ServerContext): Handler {
  return async (c) => {
    const request = c.req.raw;
    const id = c.req.param("gatewayId");
    const { gatewayId, caller } = await admit(context, c.env.scope, id);
    const gateway = await findGateway(context, gatewayId);
    const pull = boundPull(
      await readPull(request, {
        maxBytes: gateway.limits.maxBodyBytes,
        lease: c.env.lease,
        deadline: c.env.scope.deadline,
      }),
    );
    c.env.scope.clientId = pull.clientId;
    await admitAgain(context, c.env.scope);
    const { deadline, signal } = c.env.scope;
    deadline.allow((pull.wait ?? 0) * 1000);
    const result = await gateway.pull(caller, pull, context.stopping, signal);
    await admitAgain(context, c.env.scope);
    return answerFormat(request.headers) === "json"
      ? replyJson(request, pullResultToJson(result))
      : reply(request, CONTENT_TYPE.protobuf, encodePullResult(result));
  };
}
