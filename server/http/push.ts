/**
 * `POST /v1/sync/:gatewayId/push`.
 *
 * @module
 */

import {
  decodePush,
  encodePushResult,
  parseJsonBody,
  pushFromJson,
  type PushResult,
  pushResultToJson,
} from "@lakesync/core";
import { createHash } from "node:crypto";
import { checkClientId } from "../bounds.ts";
import type { Idempotency } from "../gateway/gateway.ts";
import { readBody, utf8 } from "./body.ts";
import type { Handler, ServerContext } from "./context.ts";
import { admit, admitAgain, findGateway } from "./guard.ts";
import { idempotencyKey } from "./idempotency.ts";
import { answerFormat, bodyFormat, CONTENT_TYPE, type Format } from "./media.ts";
import { reply } from "./reply.ts";

function render(format: Format, result: PushResult): string | Uint8Array {
  return format === "json" ? JSON.stringify(pushResultToJson(result)) : encodePushResult(result);
}

/** How forms of answers are named where they are kept. */
const KEPT_FORM = { json: "j", protobuf: "p" } as const satisfies Record<Format, string>;

/** Writes an answer as it is kept: a letter for its form, and its body as text or base64. */
function keep(format: Format, result: PushResult): string {
  const body = render(format, result);
  return KEPT_FORM[format] + (typeof body === "string" ? body : body.toBase64());
}

function replyKept(request: Request, kept: string, replayed: boolean) {
  const format = kept.startsWith(KEPT_FORM.json) ? "json" : "protobuf";
  const body = kept.slice(1);
  return reply(
    request,
    CONTENT_TYPE[format],
    format === "json" ? body : Uint8Array.fromBase64(body),
    replayed ? { "Idempotency-Replayed": "true" } : {},
  );
}

function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("base64url");
}

/** Makes the handler. */
export function pushHandler(context: ServerContext): Handler {
  return async (c) => {
    const request = c.req.raw;
    const { gatewayId, caller } = await admit(
      context,
      c.env.scope,
      c.req.param("gatewayId"),
    );
    const gateway = await findGateway(context, gatewayId);
    const key = idempotencyKey(request.headers);
    const format = bodyFormat(request.headers);
    const body = await readBody(request, {
      maxBytes: gateway.limits.maxBodyBytes,
      lease: c.env.lease,
      deadline: c.env.scope.deadline,
    });
    const push = format === "json"
      ? pushFromJson(parseJsonBody(utf8(body)), gateway.schema)
      : decodePush(body);
    checkClientId(push.clientId);
    c.env.scope.clientId = push.clientId;
    await admitAgain(context, c.env.scope);

    const answer = answerFormat(request.headers);
    let kept: string | undefined;
    const idempotency: Idempotency | undefined = key === undefined ? undefined : {
      // Kept is a hash of it, since a user and a key may have 500 characters.
      key: sha256(JSON.stringify([caller.sub, gatewayId, c.req.path, key])),
      bodyHash: sha256(`${format}\n`, body),
      render: (result) => kept = keep(answer, result),
    };
    const { result, replayed } = await gateway.push(
      caller,
      push,
      idempotency,
      c.env.scope.signal,
    );
    if (replayed !== undefined) return replyKept(request, replayed, true);
    if (kept !== undefined) return replyKept(request, kept, false);
    return reply(request, CONTENT_TYPE[answer], render(answer, result));
  };
}
