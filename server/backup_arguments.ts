/**
 * From the arguments of `lakesync backup`, `restore` and `cursors` to what they ask for.
 *
 * @module
 */

import { isGatewayId } from "@lakesync/core";
import { type ServerAddress, serverAddress } from "./rules_arguments.ts";
import { BACKUP_SETTINGS, CURSORS_SETTINGS, RESTORE_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** What is to be copied, and where to. */
export interface BackupConfig {
  /** What to do. */
  readonly command: "backup";
  /** The data folder. */
  readonly data: string;
  /** The folder that is made. */
  readonly out: string;
  /** The one gateway to copy; all of them unless given. */
  readonly gw: string | undefined;
  /** Whether secrets are copied too. */
  readonly withSecrets: boolean;
}

/** Which backup is to be verified. */
export interface BackupVerifyConfig {
  /** What to do. */
  readonly command: "backup verify";
  /** The backup. */
  readonly folder: string;
}

/** What is to be restored, and where to. */
export interface RestoreConfig {
  /** What to do. */
  readonly command: "restore";
  /** The backup. */
  readonly from: string;
  /** The data folder: empty, or not there. */
  readonly data: string;
  /** Up to which moment the log is replayed; nothing is replayed unless given. */
  readonly to: RestorePoint | undefined;
  /** The data folder or newer backup whose log it is. */
  readonly log: string | undefined;
}

/** A moment in a history: a time in milliseconds since 1970, or a commit. */
export type RestorePoint = { readonly ms: number } | { readonly seq: number };

/** What is asked of the cursors of a gateway. */
export interface CursorsConfig {
  /** What to do. */
  readonly command: "cursors list" | "cursors reset";
  /** The server. */
  readonly server: ServerAddress;
  /** Which cursor to reset. */
  readonly name: string;
}

/** What these commands ask for. */
export type BackupCommand = BackupConfig | BackupVerifyConfig | RestoreConfig | CursorsConfig;

type Env = (name: string) => string | undefined;

function backupConfig(args: readonly string[], env: Env): BackupConfig | BackupVerifyConfig {
  const [first, folder, ...rest] = args;
  if (first === "verify") {
    if (folder === undefined || folder.startsWith("-") || rest.length > 0) {
      throw new UsageError("lakesync backup verify takes the folder of a backup");
    }
    return { command: "backup verify", folder };
  }
  const values = new Values(args, BACKUP_SETTINGS, env);
  const gw = values.optional("gw");
  if (gw !== undefined && !isGatewayId(gw)) throw new UsageError("--gw is the id of one gateway");
  return {
    command: "backup",
    data: values.needed("data"),
    out: values.needed("out"),
    gw,
    withSecrets: values.onOff("with-secrets") ?? false,
  };
}

/**
 * Reads a moment.
 *
 * @param text a commit's number or a time
 * @throws {UsageError}
 */
export function restorePoint(text: string): RestorePoint {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) };
  const hasZone = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/.test(
    text,
  );
  const ms = hasZone ? Date.parse(text.replace(" ", "T")) : NaN;
  if (!Number.isNaN(ms)) return { ms };
  throw new UsageError(
    "--to is a time with its zone such as 2026-01-31T09:30:00Z, or a commit such as 120",
  );
}

function restoreConfig(args: readonly string[], env: Env): RestoreConfig {
  const values = new Values(args, RESTORE_SETTINGS, env);
  const to = values.optional("to");
  const log = values.optional("log");
  if (to !== undefined && log === undefined) {
    throw new UsageError("With --to give --log: the old data folder, or a newer backup");
  }
  if (log !== undefined && to === undefined) {
    throw new UsageError("With --log give --to: up to when it is replayed");
  }
  return {
    command: "restore",
    from: values.needed("from"),
    data: values.needed("data"),
    to: to === undefined ? undefined : restorePoint(to),
    log,
  };
}

function cursorsConfig(args: readonly string[], env: Env): CursorsConfig {
  const [first, ...rest] = args;
  if (first !== "list" && first !== "reset") {
    throw new UsageError("There are lakesync cursors list and lakesync cursors reset");
  }
  const values = new Values(rest, CURSORS_SETTINGS, env);
  return {
    command: `cursors ${first}`,
    server: serverAddress(values),
    name: first === "reset" ? values.needed("name") : "",
  };
}

/**
 * Reads the arguments of these commands.
 *
 * @param command which one
 * @param args what comes after it
 * @param env reads an environment variable
 * @throws {UsageError}
 */
export function backupCommand(
  command: "backup" | "restore" | "cursors",
  args: readonly string[],
  env: Env,
): BackupCommand {
  if (command === "backup") return backupConfig(args, env);
  return command === "restore" ? restoreConfig(args, env) : cursorsConfig(args, env);
}
