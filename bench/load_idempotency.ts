/**
 * Pushes that repeat an `Idempotency-Key`: of five equal ones, four at the same time and one later,
 * one has an effect and all get its answer.
 *
 * @module
 */

import { LoadGateway } from "./load_gateway.ts";
import { limitsOf } from "./load_run.ts";
import { readRows } from "./load_sigterm.ts";
import { GATEWAY, makeUsers, type User } from "./load_world.ts";

/** Equal requests of each key. */
const REQUESTS = 5;

/** What came of it. */
export interface IdempotencyResult {
  readonly requests: number;
  readonly keys: number;
  /** Requests that were not answered by 200. */
  readonly failed: number;
  /** Rows that are there afterwards. */
  readonly effects: number;
  /** Answers that said that they were given before. */
  readonly replayed: number;
  /** Keys whose answers were not all the same, byte for byte. */
  readonly unequal: number;
  readonly seconds: number;
}

interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly text: string;
}

async function push(gateway: URL, user: User, key: number): Promise<Answer> {
  const delta = {
    op: "INSERT",
    table: "notes",
    rowId: `row-${key}`,
    columns: { team: user.team, author: user.id, text: "Once", n: key },
  };
  const response = await fetch(new URL(`/v1/sync/${GATEWAY}/push`, gateway), {
    method: "POST",
    headers: {
      authorization: `Bearer ${user.token}`,
      "content-type": "application/json",
      "idempotency-key": `key-${key}`,
    },
    body: JSON.stringify({
      clientId: `client-${key}`,
      schemaVersion: 1,
      transactions: [{ mutationId: 1, deltas: [delta] }],
    }),
  });
  const replayed = response.headers.get("Idempotency-Replayed") === "true";
  return { status: response.status, replayed, text: await response.text() };
}

/**
 * Sends them.
 *
 * @param keys how many keys; there are five requests of each
 * @param parallel requests that are under way at once
 * @param core the core that the gateway is bound to
 */
export async function runIdempotency(
  keys: number,
  parallel: number,
  core?: number,
): Promise<IdempotencyResult> {
  await using gateway = await LoadGateway.start({
    limits: limitsOf({ live: 0 }),
    ...(core === undefined ? {} : { core }),
  });
  const [user] = await makeUsers("user", 1, 1);
  if (user === undefined) throw new Error("There is no user");
  const all = Array.from({ length: keys }, (_, key) => key);
  const together = all.flatMap((key) => Array.from({ length: REQUESTS - 1 }, () => key));
  const waiting = [...together, ...all].values();
  const answers = all.map((): Answer[] => []);
  const began = performance.now();
  await Promise.all(Array.from({ length: parallel }, async () => {
    for (const key of waiting) answers[key]?.push(await push(gateway.url, user, key));
  }));
  const seconds = (performance.now() - began) / 1_000;
  const flat = answers.flat();
  return {
    requests: flat.length,
    keys,
    failed: flat.filter(({ status }) => status !== 200).length,
    effects: (await readRows(gateway.url, user)).length,
    replayed: flat.filter(({ replayed }) => replayed).length,
    unequal: answers.filter((own) => new Set(own.map(({ text }) => text)).size !== 1).length,
    seconds,
  };
}
