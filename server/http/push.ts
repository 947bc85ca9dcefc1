/**
 * `POST /v1/sync/:gatewayId/push`.
 *
 * @module
 */

import {
  decodePush,
  encodePushResult,
  LakeSyncError,
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
import { type Admission, admit, findGateway } from "./guard.ts";
import { answerFormat, bodyFormat, CONTENT_TYPE, type Format } from "./media.ts";
import { reply } from "./reply.ts";

function render(format: Format, result: PushResult): string | Uint8Array {
  return format === "json" ? JSON.stringify(pushResultToJson(result)) : encodePushResult(result);
}

/** A kept answer: its form, and its body as text or base64. */
function keep(format: Format, result: PushResult): string {
  const body = render(format, result);
  return JSON.stringify([
    format,
    typeof body === "string" ? body : body.toBase64(),
  ]);
}

function unkeep(kept: string): { format: Format; body: string | Uint8Array } {
  const [format, body]: [Format, string] = JSON.parse(kept);
  return {
    format,
    body: format === "json" ? body : Uint8Array.fromBase64(body),
  };
}

function idempotencyOf(
  request: Request,
  path: string,
  { caller, gatewayId }: Admission,
  body: Uint8Array,
): Idempotency | undefined {
  const key = request.headers.get("Idempotency-Key");
  if (key === null) return undefined;
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "An Idempotency-Key is 1 to 255 printable ASCII characters",
    );
  }
  const format = answerFormat(request.headers);
  const type = bodyFormat(request.headers);
  return {
    key: JSON.stringify([caller.sub, gatewayId, path, key]),
    bodyHash: createHash("sha256").update(`${type}\n`).update(body)
      .digest("hex"),
    render: (result) => keep(format, result),
  };
}

/** Makes the handler. */
export function pushHandler(context: ServerContext): Handler {
  return async (c) => {
    const request = c.req.raw;
    const admission = await admit(
      context,
      request,
      c.req.param("gatewayId"),
      "client",
    );
    const gateway = await findGateway(context, admission.gatewayId);
    const format = bodyFormat(request.headers);
    const body = await readBody(request, gateway.limits.maxBodyBytes);
    const idempotency = idempotencyOf(request, c.req.path, admission, body);
    const push = format === "json"
      ? pushFromJson(parseJsonBody(utf8(body)), gateway.schema)
      : decodePush(body);
    checkClientId(push.clientId);
    const { result, replayed } = await gateway.push(
      admission.caller,
      push,
      idempotency,
    );
    if (result !== undefined) {
      const answer = answerFormat(request.headers);
      return reply(request, CONTENT_TYPE[answer], render(answer, result));
    }
    const kept = unkeep(replayed);
    return reply(request, CONTENT_TYPE[kept.format], kept.body, {
      "Idempotency-Replayed": "true",
    });
  };
}
