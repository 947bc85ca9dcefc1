/**
 * The command `lakesync`. Data goes to standard output, all else to standard error; exit codes:
 * 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { runAudit } from "./audit_command.ts";
import { runAccess } from "./access_command.ts";
import { signingKey } from "./auth/rotate.ts";
import { secretPath } from "./auth/secret.ts";
import { signToken } from "./auth/token.ts";
import { type Command, configPath, parseCommand, type TokenConfig } from "./config.ts";
import { loadConfig } from "./config_file.ts";
import { HELP } from "./help.ts";
import { runKeys } from "./keys_command.ts";
import { migrate, migrationLines } from "./migrate_command.ts";
import { redactText } from "./observe/redact.ts";
import type { RulesCheckConfig } from "./rules_arguments.ts";
import { checkRules, explainRules } from "./rules_command.ts";
import { serve, VERSION } from "./serve.ts";
import { UsageError } from "./values.ts";

async function token(config: TokenConfig): Promise<string> {
  const { data, sub, gw, role, ttlSeconds, claims, issuer, audience } = config;
  const key = await signingKey(config);
  if (key === undefined) {
    throw new Error(
      `There is no secret in ${
        secretPath(data)
      }, start the gateway once or give --data or --secret`,
    );
  }
  try {
    return await signToken({
      ...key,
      sub,
      gw,
      role,
      ttlSeconds,
      claims,
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    });
  } catch (error) {
    throw error instanceof LakeSyncError ? new UsageError(error.message) : error;
  }
}

async function read(args: readonly string[]): Promise<Command> {
  const env = (name: string) => Deno.env.get(name);
  const path = configPath(args, env);
  return parseCommand(args, env, path === undefined ? undefined : await loadConfig(path));
}

/** Prints what was asked for. */
function print(...lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

/** Tells people, not programs. */
function note(text: string): void {
  console.error(`lakesync: ${text}`);
}

async function check(config: RulesCheckConfig): Promise<number> {
  const { problems, summary } = await checkRules(config);
  print(...(summary === undefined ? problems : ["OK", summary]));
  return summary === undefined ? 1 : 0;
}

async function run(args: readonly string[]): Promise<number> {
  const command = await read(args);
  switch (command.command) {
    case "help":
      print(HELP);
      return 0;
    case "version":
      print(VERSION);
      return 0;
    case "token":
      print(await token(command));
      return 0;
    case "migrate":
      print(...migrationLines(
        await migrate(command, ({ phase, seq, headSeq, changes, rows }) => {
          console.error(`${phase}: commit ${seq} of ${headSeq}, ${changes} changes, ${rows} rows`);
        }),
      ));
      return 0;
    case "lake maintain": {
      const { maintainLakes } = await import("./lake_command.ts");
      const { lines, isDone } = await maintainLakes(command);
      print(...lines);
      return isDone ? 0 : 1;
    }
    case "query": {
      const { runQuery } = await import("./query_command.ts");
      await runQuery(command, note);
      return 0;
    }
    case "history": {
      const { runHistory } = await import("./history_command.ts");
      print(...await runHistory(command, note));
      return 0;
    }
    case "audit":
      print(...await runAudit(command));
      return 0;
    case "backup": {
      const { runBackup } = await import("./backup_command.ts");
      print(...await runBackup(command, VERSION));
      return 0;
    }
    case "backup verify": {
      const { runBackupVerify } = await import("./backup_command.ts");
      print(...await runBackupVerify(command));
      return 0;
    }
    case "restore": {
      const { runRestore } = await import("./backup_command.ts");
      print(...await runRestore(command));
      return 0;
    }
    case "cursors list":
    case "cursors reset": {
      const { runCursors } = await import("./cursors_command.ts");
      print(...await runCursors(command));
      return 0;
    }
    case "access list":
    case "access deny":
    case "access allow": {
      const lines = await runAccess(command);
      print(...lines);
      if (lines.length === 0) {
        note(`Nobody and nothing is kept out of the gateway ${command.server.gw}`);
      }
      return 0;
    }
    case "keys list":
    case "keys rotate":
    case "keys retire": {
      const { lines, notes } = await runKeys(command);
      print(...lines);
      for (const text of notes) note(text);
      return 0;
    }
    case "rules check":
      return await check(command);
    case "rules explain":
      print(...await explainRules(command));
      return 0;
    case "serve":
      return await serve(command);
  }
}

/**
 * Runs the command.
 *
 * @param args its arguments
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`lakesync: ${redactText(error.message)}\nTry lakesync --help`);
      return 2;
    }
    if (error instanceof Deno.errors.NotCapable) {
      console.error(
        `lakesync: ${error.message}\nThe permission sets in deno.json are for the defaults; for other addresses and folders run deno with -A or with permissions of your own`,
      );
      return 1;
    }
    console.error(
      `lakesync: ${redactText(error instanceof Error ? error.message : String(error))}`,
    );
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
