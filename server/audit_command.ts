/**
 * `lakesync audit`: what admins did and what was refused to them, from a server that runs.
 *
 * @module
 */

import { isGatewayId } from "@lakesync/core";
import { fetchAudit } from "./admin_client.ts";
import { AUDIT_ACTIONS, isAuditAction } from "./audit/actions.ts";
import { parseTime } from "./durations.ts";
import { type ServerAddress, serverAddress } from "./rules_arguments.ts";
import { AUDIT_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** What is asked of the audit log. */
export interface AuditConfig {
  /** What to do. */
  readonly command: "audit";
  /** The server; its gateway may be `*`. */
  readonly server: ServerAddress;
  /** What the answer is filtered by, as in the query of the route. */
  readonly filters: Readonly<Record<string, string>>;
  /** At most so many entries. */
  readonly limit: number;
  /** How they are written. */
  readonly format: "table" | "json";
}

/** Entries asked for at once. */
const PAGE = 1_000;

/** An entry as the route answers it, as far as the table shows it. */
interface Entry {
  readonly at: string;
  readonly what: string;
  readonly outcome: string;
  readonly who: { readonly sub?: string };
  readonly ip?: string;
  readonly gatewayId?: string;
  readonly code?: string;
  readonly details?: object;
}

/** A moment: `1h` is that long ago. */
function momentOf(flag: string, text: string, nowMs: number): string {
  if (/^\d{1,9}[smhd]?$/.test(text)) {
    return new Date(nowMs - parseTime(flag, text) * 1000).toISOString();
  }
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw new UsageError(
    `--${flag} is a time ago such as 15m, 1h or 7d, or a time such as 2026-01-31T09:30:00Z`,
  );
}

/**
 * Reads the arguments of `lakesync audit`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param nowMs the time, in milliseconds since 1970
 * @throws {UsageError}
 */
export function auditConfig(
  args: readonly string[],
  env: (name: string) => string | undefined,
  nowMs: number = Date.now(),
): AuditConfig {
  const values = new Values(args, AUDIT_SETTINGS, env);
  const server = serverAddress(values);
  if (server.gw !== "*" && !isGatewayId(server.gw)) {
    throw new UsageError("--gw is the id of one gateway, or * for all and the server");
  }
  const [since, until] = [values.optional("since"), values.optional("until")];
  const [who, what] = [values.optional("who"), values.optional("what")];
  if (what !== undefined && !isAuditAction(what)) {
    throw new UsageError(`--what is one of ${Object.keys(AUDIT_ACTIONS).join(", ")}`);
  }
  const limit = values.needed("limit");
  if (!/^[1-9]\d{0,8}$/.test(limit)) throw new UsageError("--limit is a whole number from 1");
  return {
    command: "audit",
    server,
    filters: {
      ...(since === undefined ? {} : { from: momentOf("since", since, nowMs) }),
      ...(until === undefined ? {} : { to: momentOf("until", until, nowMs) }),
      ...(server.gw === "*" ? {} : { gateway: server.gw }),
      ...(who === undefined ? {} : { who }),
      ...(what === undefined ? {} : { what }),
    },
    limit: Number(limit),
    format: values.oneOf("format", ["table", "json"]),
  };
}

/** Entries, page by page until there are no more. */
async function entriesOf({ server, filters, limit }: AuditConfig): Promise<readonly object[]> {
  const entries: object[] = [];
  let cursor: string | undefined;
  do {
    const page = await fetchAudit(server, {
      ...filters,
      limit: String(Math.min(PAGE, limit - entries.length)),
      ...(cursor === undefined ? {} : { cursor }),
    });
    entries.push(...page.entries);
    cursor = page.cursor;
  } while (cursor !== undefined && entries.length < limit);
  return entries;
}

/** Commands of terminals, ends of lines, and what turns the direction of writing or is not seen. */
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A text on one line, which no terminal takes for a command or shows in another order. */
function oneLine(text: string): string {
  return text.replace(
    CONTROLS,
    (char) => `\\u${char.codePointAt(0)?.toString(16).padStart(4, "0")}`,
  );
}

function cellsOf({ at, what, outcome, who, ip, gatewayId, code, details }: Entry): string[] {
  return [
    at,
    what,
    code ?? outcome,
    gatewayId ?? "-",
    who.sub ?? "-",
    ip ?? "-",
    details === undefined ? "" : JSON.stringify(details),
  ].map(oneLine);
}

const HEAD = ["at", "what", "outcome", "gateway", "who", "from", "details"];

/**
 * Entries as a table, a line each.
 *
 * @param entries as the route answers them
 */
export function auditTable(entries: readonly object[]): string[] {
  const rows = [HEAD, ...entries.map((entry) => cellsOf(entry as Entry))];
  const widths = HEAD.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) =>
    cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()
  );
}

/**
 * Tells what the audit log has, the newest first.
 *
 * @param config what is asked
 * @returns lines to print
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function runAudit(config: AuditConfig): Promise<readonly string[]> {
  const entries = await entriesOf(config);
  if (config.format === "table") return auditTable(entries);
  const lines = entries.map((entry) => JSON.stringify(entry));
  return [lines.length === 0 ? "[]" : `[\n${lines.join(",\n")}\n]`];
}
