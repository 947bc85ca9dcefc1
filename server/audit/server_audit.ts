/**
 * The audit log of a server process, and what the process itself does.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { RecordStore } from "../store/records.ts";
import { type AuditEvent, DEFAULT_AUDIT_KEEP_DAYS } from "./audit.ts";
import { AuditLog } from "./log.ts";

const logger = getLogger(["lakesync", "audit"]);

const DAY_MS = 24 * 60 * 60 * 1000;

/** The audit log of a server process. */
export class ServerAudit extends AuditLog {
  /**
   * @param records where it is kept
   * @param keepDays how long entries are kept, in days
   */
  constructor(records: RecordStore, keepDays: number = DEFAULT_AUDIT_KEEP_DAYS) {
    super({
      records,
      keepMs: keepDays * DAY_MS,
      now: Date.now,
      processId: crypto.randomUUID().slice(0, 8),
    });
  }

  /**
   * Writes what nobody waits for an answer to. A log that cannot be written does not keep the
   * process from its work; the log of the process says so.
   */
  async note(event: AuditEvent): Promise<void> {
    try {
      await this.write(event);
    } catch (cause) {
      logger.error("{what} could not be written to the audit log: {cause}", {
        what: event.what,
        cause,
      });
    }
  }

  /** Tells that the process stops, and what was only counted until now. */
  async end(): Promise<void> {
    await this.note({ what: "server.stop", outcome: "done", sub: "server" });
    try {
      await this.close();
    } catch (cause) {
      logger.error("Refusals could not be written to the audit log: {cause}", { cause });
    }
  }
}
