import assert from "node:assert/strict";
import fc from "fast-check";
import { judge, judgeAny, type Verdict } from "./http_judge.ts";
import {
  bodyValue,
  isRight,
  learn,
  type Memory,
  type Plan,
  requestOf,
  rightPlans,
  wrongPlans,
} from "./http_requests.ts";
import { BAD } from "./http_tokens.ts";
import { exchange, readReplies, type Reply, requestBytes } from "./http_wire.ts";
import { API, tried, type World } from "./http_world.ts";
import { law } from "./law.ts";

async function send({ port }: World, plan: Plan, memory: Memory): Promise<Reply | undefined> {
  const request = requestOf(plan, memory);
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
  const { operation: { path }, oddPath, token } = plan;
  const method = plan.oddMethod ?? plan.operation.method;
  if (oddPath !== undefined) return judgeAny(API, method, reply);
  const met = method === "HEAD" ? "GET" : method;
  const operation = API.operations.find((one) => one.path === path && one.method === met);
  const verdict = judge(API, operation, method, reply);
  if (operation === undefined) return verdict;
  const overruled = plan.oddHeaders.some(([name]) => name === "Authorization");
  const listing = operation.id === "listGateways" && token === "of another gateway";
  if (operation.access !== "none" && Object.hasOwn(BAD, token) && !overruled && !listing) {
    assert.ok([401, 403].includes(verdict.status), `A token ${token} opened it`);
  }
  return verdict;
}

/** Why a request that fits its schema may be refused all the same. */
const BY_MEANING = /nested|part|cursor|twice|same|columns|No table|key|rowId|schema|Schema|\$/;

/** Where schema and reader are compared. */
const COMPARED = new Set(["push", "pullByPost", "explain", "putSchema", "putRules"]);

function compare(plan: Plan, { code, status, body }: Verdict, memory: Memory): void {
  const { operation, packing, oddHeaders, protobuf, token, oddPath, oddMethod } = plan;
  if (!COMPARED.has(operation.id) || packing !== "plain" || oddHeaders.length > 0) return;
  if (protobuf || oddPath !== undefined || oddMethod !== undefined || token in BAD) return;
  const schema = operation.body?.["application/json"]?.schema;
  const misfit = API.misfit(schema, bodyValue(plan, memory));
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
      const memory: Memory = { cursor: "", etag: "x", lastMutationIds: new Map() };
      for (const plan of plans) {
        const reply = await send(world, plan, memory);
        if (reply === undefined) throw new Error("There was no answer");
        if (!isRight(plan) && isBare(reply)) continue;
        const verdict = check(plan, reply);
        compare(plan, verdict, memory);
        if (isRight(plan)) learn(plan, reply, verdict.body, memory);
      }
    }),
});
