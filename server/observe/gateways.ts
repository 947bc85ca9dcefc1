/**
 * Gateways whose pushes and pulls are measured, whoever asks for them: HTTP, live connections or a
 * program. All else goes through as it is.
 *
 * @module
 */

import type { PullRequest, PullResult } from "@lakesync/core";
import type { Gateway, Gateways, PushOutcome, ScopedPull } from "../gateway/gateway.ts";
import type { Counts } from "./counts.ts";
import { PullPages } from "./pull_pages.ts";
import { RefusedPushes } from "./refused_pushes.ts";
import { codeOf, statusOf } from "./status.ts";

/** What a push or a pull is measured by. */
export interface SyncMeter {
  /** The counts of the server. */
  readonly counts: Counts;
  /** Takes how long a push took, in milliseconds. */
  readonly pushMs: (ms: number) => void;
  /** Takes how long a page took that nobody waited for, in seconds. */
  readonly pullSeconds: (seconds: number) => void;
  /** Takes of how many pages a pull consisted. */
  readonly pullPages: (pages: number) => void;
}

/** Does a step of a gateway's work, for instance inside a span. */
export type Step = <T>(
  name: "push" | "pull",
  gatewayId: string,
  clientId: string,
  work: () => Promise<T>,
) => Promise<T>;

/**
 * Measures gateways.
 *
 * @param gateways the gateways
 * @param meter where to
 * @param step does the work; as it is unless given
 */
export function measureGateways(gateways: Gateways, meter: SyncMeter, step?: Step): Gateways {
  const measured = new WeakMap<Gateway, Gateway>();
  const pages = new PullPages(meter.pullPages);
  const refused = new RefusedPushes();
  const wrap = (gateway: Gateway) => {
    const known = measured.get(gateway);
    if (known !== undefined) return known;
    const one = measure(gateway, { ...meter, pages, refused }, step);
    measured.set(gateway, one);
    return one;
  };
  return {
    async get(gatewayId) {
      const gateway = await gateways.get(gatewayId);
      return gateway && wrap(gateway);
    },
    create: async (gatewayId) => wrap(await gateways.create(gatewayId)),
    list: () => gateways.list(),
    close: () => gateways.close(),
  };
}

function measure(
  gateway: Gateway,
  { counts, pushMs, pullSeconds, pages, refused }: SyncMeter & {
    readonly pages: PullPages;
    readonly refused: RefusedPushes;
  },
  step: Step | undefined,
): Gateway {
  async function pushed(
    clientId: string,
    work: () => Promise<PushOutcome>,
  ): Promise<PushOutcome> {
    const startMs = performance.now();
    try {
      const outcome = await work();
      counts.pushes.add("ok");
      pushMs(performance.now() - startMs);
      if (outcome.result !== undefined) refused.answered(gateway.id, clientId, outcome.result);
      return outcome;
    } catch (error) {
      counts.pushes.add(statusOf(codeOf(error)));
      throw error;
    }
  }

  async function pulled<T>(
    { clientId, cursor, repair, wait = 0 }: PullRequest,
    work: () => Promise<T>,
    resultOf: (answer: T) => PullResult,
  ): Promise<T> {
    const startMs = performance.now();
    if (repair !== undefined) counts.repairs += repair.length;
    try {
      const answer = await work();
      counts.pulls.add("ok");
      if (wait === 0) pullSeconds((performance.now() - startMs) / 1000);
      pages.page(gateway.id, clientId, cursor, resultOf(answer).complete);
      return answer;
    } catch (error) {
      const code = codeOf(error);
      counts.pulls.add(statusOf(code));
      if (code === "RESYNC_REQUIRED") counts.resyncs++;
      throw error;
    }
  }

  const inStep = <T>(name: "push" | "pull", clientId: string, work: () => Promise<T>) =>
    step === undefined ? work() : step(name, gateway.id, clientId, work);
  const same = (page: PullResult) => page;
  const ofScoped = ({ result }: ScopedPull) => result;

  const measured: Pick<Gateway, "push" | "pull" | "pullScoped"> = {
    push: (caller, request, ...more) =>
      pushed(
        request.clientId,
        () => inStep("push", request.clientId, () => gateway.push(caller, request, ...more)),
      ),
    pull: (caller, request, ...more) =>
      pulled(
        request,
        () => inStep("pull", request.clientId, () => gateway.pull(caller, request, ...more)),
        same,
      ),
    pullScoped: (caller, request) =>
      pulled(
        request,
        () => inStep("pull", request.clientId, () => gateway.pullScoped(caller, request)),
        ofScoped,
      ),
  };
  return inPlaceOf(gateway, measured);
}

/** An object with some methods of its own in place of another's, which does all else. */
function inPlaceOf<T extends object>(whole: T, part: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      if (Object.hasOwn(part, name)) return Reflect.get(part, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
