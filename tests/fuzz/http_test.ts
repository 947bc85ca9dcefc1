import assert from "node:assert/strict";
import fc from "fast-check";
import { judge, judgeAny, type Verdict } from "./http_judge.ts";
import {
  bodyValue,
  isRight,
  type Plan,
  requestOf,
  rightPlans,
  wrongPlans,
} from "./http_requests.ts";
import { BAD } from "./http_tokens.ts";
import { exchange, readReplies, type Reply, requestBytes } from "./http_wire.ts";
import { API, tried, type World } from "./http_world.ts";
import { law } from "./law.ts";

async function send({ port }: World, plan: Plan): Promise<Reply | undefined> {
  const request = requestOf(plan);
  const { bytes, closed } = await exchange(port, [requestBytes(request)], {
    done: (bytes) => bytes.length > 12 && /^HTTP\/1.1 101/.test(new TextDecoder().decode(bytes)),
  });
  const [reply] = readReplies(bytes, [request.method]);
  assert.ok(closed || reply?.status === 101, `No answer in time to ${request.target}`);
  return reply;
}

/** Refusals of the HTTP server itself, before any route: it says no more than the status. */
function isBare({ status, body }: Reply): boolean {
  return [400, 414, 431].includes(status) && body.length === 0;
}

function check(plan: Plan, reply: Reply): Verdict {
  const { operation, oddMethod, oddPath, token } = plan;
  const method = oddMethod ?? operation.method;
  if (oddPath !== undefined) return judgeAny(API, method, reply);
  const verdict = judge(API, operation, method, reply);
  const overruled = plan.oddHeaders.some(([name]) => name === "Authorization");
  const listing = operation.id === "listGateways" && token === "of another gateway";
  if (operation.access !== "none" && Object.hasOwn(BAD, token) && !overruled && !listing) {
    assert.ok([401, 403, 405].includes(verdict.status), `A token ${token} opened it`);
  }
  return verdict;
}

/** Why a request that fits its schema may be refused all the same. */
const BY_MEANING = /nested|part|cursor|twice|same|columns|No table|key|rowId|schema|Schema|\$/;

/** Where schema and reader are compared. */
const COMPARED = new Set(["push", "pullByPost", "explain", "putSchema", "putRules"]);

function compare(plan: Plan, { code, status, body }: Verdict): void {
  const { operation, packing, oddHeaders, protobuf, token, oddPath, oddMethod } = plan;
  if (!COMPARED.has(operation.id) || packing !== "plain" || oddHeaders.length > 0) return;
  if (protobuf || oddPath !== undefined || oddMethod !== undefined || token in BAD) return;
  const schema = operation.body?.["application/json"]?.schema;
  const misfit = API.misfit(schema, bodyValue(plan));
  if (misfit !== undefined) {
    assert.ok(status >= 400, `It was taken though ${misfit}`);
  } else if (code === "VALIDATION_ERROR") {
    assert.match(body.error, BY_MEANING, "It fits the schema and was refused");
  }
}

law("every answer over HTTP is one that /openapi.json describes, right request or wrong", {
  inputs: fc.array(fc.oneof(rightPlans(API), wrongPlans(API), wrongPlans(API)), {
    minLength: 1,
    maxLength: 25,
    size: "max",
  }),
  runs: 30,
  holds: (plans) =>
    tried(async (world) => {
      for (const plan of plans) {
        const reply = await send(world, plan);
        if (reply === undefined) throw new Error("There was no answer");
        if (!isRight(plan) && isBare(reply)) continue;
        compare(plan, check(plan, reply));
      }
    }),
});
