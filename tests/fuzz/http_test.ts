import { ServerProcess } from "@lakesync/server/testing";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Json } from "./http_api.ts";
import { judge, judgeAny, type Verdict } from "./http_judge.ts";
import { rightPlanOf, rightPlans, wrongPlans } from "./http_plans.ts";
import {
  bodyValue,
  isRight,
  learn,
  type Memory,
  type Packing,
  type Plan,
  requestOf,
} from "./http_requests.ts";
import { BAD, SECRET } from "./http_tokens.ts";
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

/** What shows a token only what it is for: nothing where that is nothing. */
const LISTING = new Map<string, readonly [status: number, body?: Json]>([
  ["listGateways", [200, { gateways: [] }]],
  ["getAudit", [200, { entries: [] }]],
  ["icebergConfig", [404]],
  ["icebergNamespaces", [404]],
]);

function check(plan: Plan, reply: Reply): Verdict {
  const { operation: { path }, oddPath, token } = plan;
  const method = plan.oddMethod ?? plan.operation.method;
  if (oddPath !== undefined) return judgeAny(API, method, reply);
  const met = method === "HEAD" ? "GET" : method;
  const operation = API.operations.find((one) => one.path === path && one.method === met);
  const verdict = judge(API, operation, method, reply, path);
  if (operation === undefined) return verdict;
  const overruled = plan.oddHeaders.some(([name]) => name === "Authorization");
  const listing = LISTING.has(operation.id) && token === "of another gateway";
  if (operation.access !== "none" && Object.hasOwn(BAD, token) && !overruled && !listing) {
    assert.ok([401, 403].includes(verdict.status), `A token ${token} opened it`);
  }
  const client = ["client", "another client"].includes(token);
  if (operation.access === "admin" && client && !overruled) assert.equal(verdict.status, 403);
  return verdict;
}

/** Why a request that fits its schema may be refused all the same. */
const BY_MEANING =
  /nested|part|cursor|twice|same|columns|origin|No table|key|rowId|schema|Schema|\$/;

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

Deno.test("no bad token opens any operation, and no client's opens an admin's", () =>
  tried(async (world) => {
    const memory: Memory = { cursor: "", etag: "", lastMutationIds: new Map() };
    for (const operation of API.operations) {
      if (operation.access === "none") continue;
      for (const token of ["", "client", ...Object.keys(BAD)]) {
        if (token === "client" && operation.access === "client") continue;
        const reply = await send(world, rightPlanOf(operation, { token }), memory);
        assert.ok(reply);
        const { status, body } = judge(API, operation, operation.method, reply);
        const what = `${operation.id} by a token ${token}: ${JSON.stringify(body)}`;
        const listed = token === "of another gateway" ? LISTING.get(operation.id) : undefined;
        if (listed !== undefined) {
          assert.equal(status, listed[0], what);
          if (listed[1] !== undefined) assert.deepEqual(body, listed[1], what);
        } else if (token === "client" || token === "of another gateway") {
          assert.equal(status, 403, what);
        } else assert.equal(status, 401, what);
      }
    }
  }));

const PACKED: readonly (readonly [Packing, string | undefined])[] = [
  ["gzip", undefined],
  ["deflate", undefined],
  ["gzip bomb", "PAYLOAD_TOO_LARGE"],
  ["cut gzip", "VALIDATION_ERROR"],
  ["not gzip", "VALIDATION_ERROR"],
  ["cut", "VALIDATION_ERROR"],
  ["bad UTF-8", "VALIDATION_ERROR"],
  ["odd bytes", "VALIDATION_ERROR"],
  ["two gzips", "UNSUPPORTED_MEDIA_TYPE"],
  ["br", "UNSUPPORTED_MEDIA_TYPE"],
];

Deno.test("a body is read however it is packed, or refused with the code for what is wrong", () =>
  tried(async (world) => {
    const memory: Memory = { cursor: "", etag: "", lastMutationIds: new Map() };
    const operation = API.operations.find(({ id }) => id === "pullByPost");
    assert.ok(operation);
    for (const [packing, code] of PACKED) {
      const plan = rightPlanOf(operation, { packing, value: { clientId: "packed" } });
      const reply = await send(world, plan, memory);
      assert.ok(reply);
      assert.equal(judge(API, operation, "POST", reply).code, code, packing);
    }
  }));

const MIB = 1024 * 1024;

/** The most memory that a process has had, in bytes. */
async function peakBytes(pid: number | undefined): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

Deno.test({
  name: "G11: a flood of bombs and of large bodies is refused in bounded memory",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const data = await Deno.makeTempDir();
    await using server = new ServerProcess({ data, secret: SECRET, store: "memory" });
    await server.start();
    const port = Number(new URL(server.url).port);
    const pull = API.operations.find(({ id }) => id === "pullByPost");
    assert.ok(pull);
    const memory: Memory = { cursor: "", etag: "", lastMutationIds: new Map() };
    const plan = rightPlanOf(pull, { packing: "gzip bomb", gatewayId: "default" });
    const bomb = requestBytes(requestOf(plan, memory));
    const large = requestBytes({ ...requestOf(plan, memory), body: new Uint8Array(15 * MIB) });
    const before = await peakBytes(server.pid);
    await Promise.all(Array.from({ length: 32 }, async (_, i) => {
      const { bytes } = await exchange(port, [i % 4 === 0 ? large : bomb], { ms: 20_000 });
      const [reply] = readReplies(bytes, ["POST"]);
      // The large ones may be cut while they are sent, before their answer can be read.
      if (reply === undefined) return assert.equal(i % 4, 0);
      const { code = "" } = judge(API, pull, "POST", reply);
      assert.match(code, /^(PAYLOAD_TOO_LARGE|VALIDATION_ERROR|BACKPRESSURE)$/);
    }));
    const more = await peakBytes(server.pid) - before;
    assert.ok(more < 300 * MIB, `It took ${Math.round(more / MIB)} MiB more`);
    await server[Symbol.asyncDispose]();
    await Deno.remove(data, { recursive: true });
  },
});

law("every answer over HTTP is one that /openapi.json describes, right request or wrong", {
  inputs: fc.array(fc.oneof(rightPlans(API), wrongPlans(API), wrongPlans(API)), {
    minLength: 1,
    maxLength: 25,
    size: "max",
  }),
  runs: 100,
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
