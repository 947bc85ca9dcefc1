/**
 * SIGTERM in the middle of the load: which acknowledged commits are lost, how connections end, and
 * how long it takes. Commits go on being made until the process is gone. What it kept is read by
 * starting it again on the same folder.
 *
 * @module
 */

import { decodePullResult, encodePull, PROTOBUF_TYPE } from "@lakesync/core";
import { type LoadPlan, LoadRun } from "./load_run.ts";
import { GATEWAY, type User } from "./load_world.ts";

/** Rows of a page. */
const PAGE_ROWS = 10_000;

/** What came of it. */
export interface SigtermResult {
  /** Commits that were acknowledged. */
  readonly acknowledged: number;
  /** Those of them that were gone after the gateway was started again. */
  readonly lost: number;
  /** Commits without an answer that are there all the same. */
  readonly unansweredKept: number;
  /** Live connections. */
  readonly connections: number;
  /** Those that ended without a close frame. */
  readonly cut: number;
  /** Those that were told by `draining`. */
  readonly told: number;
  /** How often each close code came. */
  readonly codes: ReadonlyMap<number, number>;
  /** Requests over HTTP that the connection ended under, without an answer. */
  readonly requestsCut: number;
  /** How else pushes ended, and how often. */
  readonly failures: ReadonlyMap<string, number>;
  /** The exit code. */
  readonly exitCode: number;
  /** From the signal to the end of the process. */
  readonly seconds: number;
}

/** Reads all rows that a user may read, page by page. */
export async function readRows(gateway: URL, user: User): Promise<string[]> {
  const rows: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const body = encodePull({
      clientId: `reader-${user.id}`,
      schemaVersion: 1,
      limit: PAGE_ROWS,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const response = await fetch(new URL(`/v1/sync/${GATEWAY}/pull`, gateway), {
      method: "POST",
      headers: {
        authorization: `Bearer ${user.token}`,
        "content-type": PROTOBUF_TYPE,
        accept: PROTOBUF_TYPE,
      },
      body: new Uint8Array(body),
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    if (!response.ok) throw new Error(`A pull was answered ${response.status}`);
    const page = decodePullResult(answer);
    rows.push(...page.changes.map(({ rowId }) => rowId));
    if (page.complete) return rows;
    cursor = page.cursor;
  }
}

/** Reads the rows of all users, one of each bucket. */
async function readAll(gateway: URL, users: readonly User[]): Promise<ReadonlySet<string>> {
  const rows = new Set<string>();
  const byTeam = new Map(users.map((user) => [user.team, user]));
  for (const user of byTeam.values()) {
    for (const row of await readRows(gateway, user)) rows.add(row);
  }
  return rows;
}

/**
 * Ends a gateway under load.
 *
 * @param plan the load; its times are those before the signal
 */
export async function runSigterm(plan: LoadPlan): Promise<SigtermResult> {
  const beforeMs = plan.warmUpMs + plan.measureMs;
  await using run = await LoadRun.start({ ...plan, measureMs: Infinity });
  const over = new AbortController();
  const committing = run.commit(over.signal);
  await new Promise((resolve) => setTimeout(resolve, beforeMs));
  const began = performance.now();
  const exitCode = await run.gateway.process.stop("SIGTERM");
  const seconds = (performance.now() - began) / 1_000;
  const ends = await Promise.all(run.live.map(({ ended }) => ended));
  over.abort();
  await committing;
  await Promise.all(run.http.map((client) => client.close()));
  const codes = new Map<number, number>();
  for (const { code } of ends) {
    if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  await run.gateway.process.start();
  const kept = await readAll(run.gateway.url, [...run.live, ...run.http].map(({ user }) => user));
  const commits = run.tally.commits();
  const acknowledged = commits.filter(({ acked }) => acked !== undefined);
  return {
    acknowledged: acknowledged.length,
    lost: acknowledged.filter(({ rowId }) => !kept.has(rowId)).length,
    unansweredKept: kept.size - acknowledged.filter(({ rowId }) => kept.has(rowId)).length,
    connections: ends.length,
    cut: ends.filter(({ code }) => code === undefined).length,
    told: run.live.filter(({ wasTold }) => wasTold).length,
    codes,
    requestsCut: run.http.filter(({ wasCut }) => wasCut).length,
    failures: run.tally.failures,
    exitCode,
    seconds,
  };
}
