/**
 * What 200 live clients of 200 users cost when one of them commits: the time until that user's other
 * device is told, and the server's processor time, against one connected client. Nobody else may be
 * sent anything.
 *
 * @module
 */

import { decodeServerFrame, encodeClientFrame } from "@lakesync/core";
import { inBatches, LISTS, LISTS_RULES, membership, pushOnce, todo } from "./lists.ts";
import { BenchServer, encodeTransactions, show, spread } from "./support.ts";

const USERS = 200;
const COMMITS = 200;
const ROUNDS = 7;

/** A live client as small as it can be: it acknowledges what it is told. */
class Listener {
  pages = 0;
  #wake: () => void = () => {};
  readonly #socket: WebSocket;
  readonly ready: Promise<void>;

  constructor(url: string, token: string, clientId: string) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    const socket = new WebSocket(url.replace("http", "ws"), ["lakesync.v1", `bearer.${token}`]);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onerror = () => reject(new Error("No connection"));
    socket.onopen = () => {
      const hello = { clientId, schemaVersion: 1 };
      socket.send(new Uint8Array(encodeClientFrame({ type: "hello", hello })));
    };
    socket.onmessage = ({ data }) => {
      const frame = decodeServerFrame(new Uint8Array(data));
      if (frame.type === "error") reject(new Error(frame.error.error));
      if (frame.type !== "changes") return;
      const { cursor, complete } = frame.result;
      socket.send(new Uint8Array(encodeClientFrame({ type: "ack", cursor })));
      this.pages++;
      if (complete) resolve();
      this.#wake();
    };
  }

  /** Waits until so many pages have come. */
  async told(pages: number): Promise<void> {
    while (this.pages < pages) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.onclose = () => resolve();
    this.#socket.close();
    await promise;
  }
}

interface Cost {
  readonly latencyMs: number;
  readonly cpuMs: number;
}

/** Commits of the first user, one after the other; each is waited for where it is told. */
async function commits(
  server: BenchServer,
  gateway: string,
  listeners: readonly Listener[],
): Promise<Cost> {
  const [first, ...others] = listeners;
  if (first === undefined) throw new Error("Nobody listens");
  const before = others.map(({ pages }) => pages);
  const token = await server.userToken("user0");
  const clientId = crypto.randomUUID();
  const cpu = await server.cpuMs();
  const latencies: number[] = [];
  for (let i = 1; i <= COMMITS; i++) {
    const row = todo(server, crypto.randomUUID(), "user0", "list0");
    const body = encodeTransactions(clientId, [{ mutationId: i, deltas: [row] }]);
    const pages = first.pages;
    const started = performance.now();
    await server.pushAll(gateway, [body], token);
    await first.told(pages + 1);
    latencies.push(performance.now() - started);
  }
  const cpuMs = (await server.cpuMs() - cpu) / COMMITS;
  if (others.some(({ pages }, i) => pages !== before[i])) {
    throw new Error("Somebody was sent another user's commit");
  }
  return { latencyMs: spread(latencies).median, cpuMs };
}

/** Runs the benchmark and prints its table. */
export async function benchFanOut(): Promise<void> {
  console.log(
    `\nOne user's commit, with 1 and with ${USERS} users connected, ${ROUNDS} rounds of ${COMMITS}`,
  );
  await using server = await BenchServer.start();
  const gateway = "fan-out";
  await server.gateway(gateway, LISTS);
  await server.putRules(gateway, LISTS_RULES);
  const rows = Array.from({ length: USERS }, (_, i) => [
    membership(server, `m${i}`, `user${i}`, `list${i}`),
    todo(server, `t${i}`, `user${i}`, `list${i}`),
  ]).flat();
  await pushOnce(server, gateway, inBatches(rows, 1_000));
  const url = `${server.url}/v1/sync/${gateway}`;
  const connect = async (from: number, to: number) => {
    const listeners = [];
    for (let i = from; i < to; i++) {
      const listener = new Listener(url, await server.userToken(`user${i}`), `listener${i}`);
      await listener.ready;
      listeners.push(listener);
    }
    return listeners;
  };
  const one = await connect(0, 1);
  await commits(server, gateway, one);
  const few: Cost[] = [];
  const many: Cost[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    few.push(await commits(server, gateway, one));
    const others = await connect(1, USERS);
    many.push(await commits(server, gateway, [...one, ...others]));
    await Promise.all(others.map((listener) => listener.close()));
  }
  await one[0]?.close();
  for (const [what, key] of [["until told", "latencyMs"], ["processor time", "cpuMs"]] as const) {
    const ratio = many.map((cost, round) => cost[key] / (few[round]?.[key] ?? NaN));
    console.log(
      `${what}, a commit: ${show(spread(few.map((cost) => cost[key])), 2)} ms, ` +
        `${show(spread(many.map((cost) => cost[key])), 2)} ms, ratio ${show(spread(ratio), 2)}`,
    );
  }
}

if (import.meta.main) await benchFanOut();
