/**
 * A data folder with many rows, of a gateway that was killed.
 *
 * @module
 */

import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { NOTES, SECRET } from "./world.ts";

/** Rows of one push. */
const PUSH = 2_000;

/** A data folder in a folder of its own. */
export interface BackupGateway extends AsyncDisposable {
  /** The folder around it; removed at the end. */
  readonly folder: string;
  /** The data folder. */
  readonly data: string;
  /** Serves a data folder for a moment, and counts its rows. */
  rowsIn(data: string): Promise<number>;
}

async function admin<T>(url: string, method: string, path: string, body?: object): Promise<T> {
  const token = await signToken({ secret: SECRET, sub: "admin", gw: "*", role: "admin" });
  const response = await fetch(`${url}/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text);
}

/**
 * Makes a gateway with rows, and kills it.
 *
 * @param rows how many
 * @param store what keeps them
 * @param meanwhile called while the gateway runs, when it has half of them
 */
export async function createGateway(
  rows: number,
  store: "sqlite" | "kv" = "sqlite",
  meanwhile: (data: string) => Promise<void> = () => Promise.resolve(),
): Promise<BackupGateway> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-backup-" });
  const data = `${folder}/gateway`;
  await using server = await new ServerProcess({ data, secret: SECRET, store }).start();
  await admin(server.url, "PUT", "admin/schema/default", NOTES);
  let isHalf = false;
  for (let from = 0, mutationId = 1; from < rows; from += PUSH, mutationId++) {
    if (from >= rows / 2 && !isHalf) {
      isHalf = true;
      await meanwhile(data);
    }
    const deltas = Array.from({ length: Math.min(PUSH, rows - from) }, (_, i) => ({
      op: "INSERT",
      table: "notes",
      rowId: `n${from + i}`,
      columns: { title: `note ${from + i}`, status: "x".repeat(100) },
    }));
    const transactions = [{ mutationId, deltas }];
    const push = { clientId: "bulk", schemaVersion: 1, transactions };
    await admin(server.url, "POST", "sync/default/push", push);
  }
  return {
    folder,
    data,
    async rowsIn(data) {
      await using server = await new ServerProcess({ data, secret: SECRET, store }).start();
      const { tables } = await admin<{ tables: Record<string, { rows: number }> }>(
        server.url,
        "GET",
        "admin/stats/default",
      );
      return tables["notes"]?.rows ?? 0;
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}
