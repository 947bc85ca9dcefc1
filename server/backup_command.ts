/**
 * `lakesync backup`, `lakesync backup verify` and `lakesync restore`.
 *
 * @module
 */

import { auditCommand } from "./audit/command_audit.ts";
import { makeBackup, verifyBackup } from "./backup/backup.ts";
import type { Manifest } from "./backup/manifest.ts";
import { restoreBackup } from "./backup/restore.ts";
import type { BackupConfig, BackupVerifyConfig, RestoreConfig } from "./backup_arguments.ts";

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function linesOf({ gateways, parts }: Manifest): string[] {
  return [
    ...gateways.map(({ gatewayId, seq, rows, logEntries, clients, bytes, lastCommitMs }) => {
      const last = lastCommitMs === undefined ? "" : `, last committed ${timeOf(lastCommitMs)}`;
      return `${gatewayId}: commit ${seq}${last}; ${rows} rows, ${logEntries} log entries, ` +
        `${clients} clients, ${bytes} bytes`;
    }),
    ...parts.map(({ file, bytes }) => `${file}: ${bytes} bytes`),
  ];
}

/**
 * Makes a backup.
 *
 * @param config what to copy, and where to
 * @param version the version of LakeSync
 * @returns lines to print
 * @throws {LakeSyncError} when it cannot be made
 */
export async function runBackup(
  config: BackupConfig,
  version: string,
): Promise<readonly string[]> {
  const { data, gw, withSecrets } = config;
  const manifest = await makeBackup({ ...config, version });
  await auditCommand(data, {
    what: "backup.make",
    outcome: "done",
    ...(gw === undefined ? {} : { gatewayId: gw }),
    details: { gateways: manifest.gateways.length, withSecrets },
  });
  return linesOf(manifest);
}

/**
 * Verifies a backup.
 *
 * @param config which
 * @returns lines to print
 * @throws {LakeSyncError} when it is not whole
 */
export async function runBackupVerify(
  { folder }: BackupVerifyConfig,
): Promise<readonly string[]> {
  return [...linesOf(await verifyBackup(folder)), "OK"];
}

/**
 * Restores a backup.
 *
 * @param config which, and where to
 * @returns lines to print
 * @throws {LakeSyncError} when it cannot be restored
 */
export async function runRestore(config: RestoreConfig): Promise<readonly string[]> {
  const restored = await restoreBackup(config);
  for (const { gatewayId, epoch, seq } of restored) {
    const details = { epoch, seq, replayed: config.to !== undefined };
    await auditCommand(config.data, {
      what: "backup.restore",
      outcome: "done",
      gatewayId,
      details,
    });
  }
  return restored.map(({ gatewayId, epoch, seq, replayed }) => {
    const last = replayed?.lastMs === undefined
      ? ""
      : `, last committed ${timeOf(replayed.lastMs)}`;
    const more = replayed === undefined ? "" : `; ${replayed.transactions} transactions replayed`;
    return `${gatewayId}: commit ${seq}${last}, epoch ${epoch}${more}`;
  });
}
