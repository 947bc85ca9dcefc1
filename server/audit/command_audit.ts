/**
 * What commands do to a data folder, told to the audit log of its server: in the file where SQLite
 * keeps it, which a server that runs may write at the same time.
 *
 * @module
 */

import { isThere } from "../is_there.ts";
import { SqliteRecords } from "../store/_sqlite_server_records.ts";
import type { AuditEvent } from "./audit.ts";
import { ServerAudit } from "./server_audit.ts";

/** Who does what commands do. */
export const COMMAND_USER = "command line";

/**
 * Tells the audit log of a data folder what a command did.
 *
 * @param data the folder
 * @param event what; it is the command line's
 * @returns whether it was written: not in a folder without a SQLite store, and not when that fails,
 * since the command was done all the same
 */
export async function auditCommand(
  data: string,
  event: Omit<AuditEvent, "sub" | "role">,
): Promise<boolean> {
  if (!await isThere(`${data}/gateways`)) return false;
  const records = new SqliteRecords(`${data}/server.db`);
  try {
    await new ServerAudit(records).write({ ...event, sub: COMMAND_USER });
    return true;
  } catch {
    return false;
  } finally {
    await records.close();
  }
}
