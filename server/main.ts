/**
 * The command `lakesync`. Data goes to standard output, all else to standard error; exit codes:
 * 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { readSecret, secretPath } from "./auth/secret.ts";
import { signToken } from "./auth/token.ts";
import { parseCommand, type TokenConfig, UsageError } from "./config.ts";
import { HELP } from "./help.ts";
import { serve, VERSION } from "./serve.ts";

async function token(config: TokenConfig): Promise<string> {
  const { data, sub, gw, role, ttlSeconds, claims, issuer, audience } = config;
  const secret = config.secret ?? await readSecret(data);
  if (secret === undefined) {
    throw new Error(
      `There is no secret in ${
        secretPath(data)
      }, start the gateway once or give --data or --secret`,
    );
  }
  try {
    return await signToken({
      secret,
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

async function run(args: readonly string[]): Promise<void> {
  const command = parseCommand(args, (name) => Deno.env.get(name));
  switch (command.command) {
    case "help":
      return console.log(HELP);
    case "version":
      return console.log(VERSION);
    case "token":
      return console.log(await token(command));
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
    await run(args);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`lakesync: ${error.message}\nTry lakesync --help`);
      return 2;
    }
    if (error instanceof Deno.errors.NotCapable) {
      console.error(
        `lakesync: ${error.message}\nThe permission sets in deno.json are for the defaults; for other addresses and folders run deno with -A or with permissions of your own`,
      );
      return 1;
    }
    console.error(
      `lakesync: ${error instanceof Error ? error.message : String(error)}`,
    );
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
