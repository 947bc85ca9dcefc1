/**
 * Opens the lake that a command asks, with what its gateway has not flushed yet: from the server
 * that runs, or from the data folder when none does.
 *
 * @module
 */

import {
  decodeTailPage,
  type LakeQuery,
  openLakeQuery,
  type QueryTail,
  TailError,
} from "@lakesync/adapters/lake/query";
import { fetchTail } from "./admin_client.ts";
import { checkLake, openLakeParts } from "./destinations/lake_open.ts";
import { DENO_ENVIRONMENT } from "./environment.ts";
import { openGateways } from "./gateway/open.ts";
import { readTail } from "./http/tail.ts";
import type { AskedLake } from "./query_arguments.ts";
import type { ServerAddress } from "./rules_arguments.ts";
import { StoreLockedError } from "./store/lock.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import { isThere } from "./is_there.ts";

/** A gateway's log that can be read. */
interface OpenTail {
  readonly tail: QueryTail;
  close(): Promise<void>;
}

function serverTail(server: ServerAddress): OpenTail {
  return {
    tail: { read: async (after) => decodeTailPage(await fetchTail(server, after)) },
    close: () => Promise.resolve(),
  };
}

/** The log in a data folder that no server holds; undefined when there is no such gateway. */
async function dataTail({ data, gw }: ServerAddress): Promise<OpenTail | undefined> {
  if (!await isThere(`${data}/gateways`)) return undefined;
  const gateways = openGateways(await openSqliteStores(data), DENO_ENVIRONMENT, () => {});
  const isKnown = (await gateways.list()).includes(gw);
  const gateway = isKnown ? await gateways.get(gw) : undefined;
  if (gateway !== undefined) {
    return { tail: { read: (after) => readTail(gateway, after) }, close: () => gateways.close() };
  }
  await gateways.close();
  return undefined;
}

/** Finds what is not flushed wherever it is; says so when it is nowhere. */
async function anyTail(
  server: ServerAddress,
  note: (text: string) => void,
): Promise<OpenTail | undefined> {
  const own = serverTail(server);
  let reason: string;
  try {
    await own.tail.read({ seq: Number.MAX_SAFE_INTEGER });
    return own;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    reason = error instanceof Error ? error.message : String(error);
  }
  try {
    const folder = await dataTail(server);
    if (folder !== undefined) return folder;
  } catch (error) {
    if (!(error instanceof StoreLockedError)) throw error;
  }
  note(`without what is not flushed yet (${reason})`);
  return undefined;
}

async function tailOf(
  { tail, server }: AskedLake,
  note: (text: string) => void,
): Promise<OpenTail | undefined> {
  switch (tail) {
    case "none":
      return undefined;
    case "server":
      return serverTail(server);
    case "auto":
      return await anyTail(server, note);
    case "data": {
      const folder = await dataTail(server);
      if (folder !== undefined) return folder;
      throw new Error(`There is no gateway ${server.gw} in ${server.data}`);
    }
  }
}

/**
 * Asks a lake. When the gateway was found by itself and is not that of the lake, it is asked without.
 *
 * @param asked which, and when
 * @param ask what to ask; it may be called twice
 * @param note told for people what the answer is without
 * @throws {Error} when there is no lake
 */
export async function withLake<T>(
  asked: AskedLake,
  ask: (query: LakeQuery) => Promise<T>,
  note: (text: string) => void,
): Promise<T> {
  const parts = openLakeParts(asked.lake, asked.server.gw);
  const { store, location, namespace, catalog } = parts;
  const open = async (found: OpenTail | undefined) => {
    const query = openLakeQuery({
      ...{ store, location, namespace, catalog },
      ...(found === undefined ? {} : { tail: found.tail }),
    });
    try {
      return await ask(query);
    } finally {
      await query.close();
      await found?.close();
    }
  };
  try {
    await checkLake(parts);
    const found = await tailOf(asked, note);
    try {
      return await open(found);
    } catch (error) {
      if (!(error instanceof TailError) || asked.tail !== "auto") throw error;
      note(`without what is not flushed yet (${error.message})`);
      return await open(undefined);
    }
  } finally {
    await parts.close();
  }
}
