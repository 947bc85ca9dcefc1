/**
 * Where a log is read from that is to be replayed: the data folder that a backup was made of, also
 * while a server runs on it, or a newer backup.
 *
 * @module
 */

import { isThere } from "../is_there.ts";
import { LakeSyncError } from "@lakesync/core";
import type { ReplayOptions } from "../gateway/replay_log.ts";
import { openSnapshot } from "../store/sqlite_copy.ts";
import { verifyBackup } from "./backup.ts";
import { gatewayFile, gatewaysIn } from "./folder.ts";
import { MANIFEST } from "./manifest.ts";

/** The log of a gateway. */
export interface GatewayLog extends Disposable {
  /** What a replay reads. */
  readonly source: ReplayOptions["source"];
  /** When it ends, in milliseconds since 1970: what is later it does not know. */
  readonly endMs: number;
}

/** The logs of a data folder or a backup. */
export interface LogSource {
  /** Its folder. */
  readonly folder: string;
  /** The gateways that have one, ascending. */
  readonly gatewayIds: readonly string[];
  /**
   * Opens the log of a gateway as it is at this moment.
   *
   * @throws {LakeSyncError} `NOT_FOUND` when there is none
   */
  open(gatewayId: string): GatewayLog;
}

function openLog(file: string, endMs: number): GatewayLog {
  const snapshot = openSnapshot(file);
  return {
    endMs,
    source: {
      head: () => Promise.resolve(snapshot.head),
      readClients: (ids) => Promise.try(() => snapshot.clients(ids)),
      readMeta: (name) => Promise.try(() => snapshot.meta(name)),
      readLog: (after, limit) => Promise.try(() => snapshot.log(after, limit)),
      clientIds: () => Promise.try(() => snapshot.clientIds()),
    },
    [Symbol.dispose]: () => snapshot[Symbol.dispose](),
  };
}

/**
 * Finds the logs in a folder.
 *
 * @param folder a data folder or a backup
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is neither, or a backup that is not whole
 */
export async function findLogs(folder: string): Promise<LogSource> {
  const ends = new Map<string, number | undefined>();
  if (await isThere(`${folder}/${MANIFEST}`)) {
    const { gateways } = await verifyBackup(folder);
    for (const { gatewayId, copiedMs } of gateways) ends.set(gatewayId, copiedMs);
  } else {
    for (const id of await gatewaysIn(folder)) ends.set(id, undefined);
  }
  return {
    folder,
    gatewayIds: [...ends.keys()],
    open(gatewayId) {
      if (!ends.has(gatewayId)) {
        throw new LakeSyncError(
          "NOT_FOUND",
          `There is no log of gateway ${gatewayId} in ${folder}`,
        );
      }
      return openLog(`${folder}/${gatewayFile(gatewayId)}`, ends.get(gatewayId) ?? Date.now());
    },
  };
}
