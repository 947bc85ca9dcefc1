/**
 * The text of `lakesync --help`, from the table of settings.
 *
 * @module
 */

import {
  ACCESS_CHANGE_SETTINGS,
  AUDIT_SETTINGS,
  BACKUP_SETTINGS,
  CURSORS_SETTINGS,
  HISTORY_SETTINGS,
  KEYS_ROTATE_SETTINGS,
  LAKE_MAINTAIN_SETTINGS,
  MIGRATE_SETTINGS,
  QUERY_SETTINGS,
  RESTORE_SETTINGS,
  RULES_CHECK_SETTINGS,
  RULES_EXPLAIN_SETTINGS,
  SERVE_SETTINGS,
  type Setting,
  TOKEN_SETTINGS,
} from "./settings.ts";

/** Where the texts begin; a flag that reaches so far has a line of its own. */
const COLUMN = 28;
const INDENT = " ".repeat(COLUMN);

function lines(settings: readonly Setting[]): string {
  return settings.map(({ flag, value, help, env, fallback }) => {
    const facts = [env, fallback === undefined ? undefined : `= ${fallback}`];
    const shown = facts.filter((fact) => fact !== undefined).join(" ");
    const text = shown === "" ? help : `${help}\n[${shown}]`;
    const name = `--${flag} ${value}`;
    const column = name.length < COLUMN - 2 ? name.padEnd(COLUMN - 2) : `${name}\n${INDENT}`;
    return `  ${column}${text.replaceAll("\n", `\n${INDENT}`)}`;
  }).join("\n");
}

/** The flags of each command. */
export const COMMAND_SETTINGS:
  readonly (readonly [command: string, settings: readonly Setting[]])[] = [
    ["lakesync serve", SERVE_SETTINGS],
    ["lakesync token", TOKEN_SETTINGS],
    ["lakesync access list, deny and allow", ACCESS_CHANGE_SETTINGS],
    ["lakesync keys list, rotate, retire (--keep is of rotate)", KEYS_ROTATE_SETTINGS],
    ["lakesync rules check", RULES_CHECK_SETTINGS],
    ["lakesync rules explain", RULES_EXPLAIN_SETTINGS],
    ["lakesync migrate", MIGRATE_SETTINGS],
    ["lakesync lake maintain", LAKE_MAINTAIN_SETTINGS],
    ["lakesync query", QUERY_SETTINGS],
    ["lakesync history", HISTORY_SETTINGS],
    ["lakesync backup", BACKUP_SETTINGS],
    ["lakesync restore", RESTORE_SETTINGS],
    ["lakesync cursors list and reset", CURSORS_SETTINGS],
    ["lakesync audit", AUDIT_SETTINGS],
  ];

/** The help. */
export const HELP: string = `LakeSync, a gateway for local-first apps

Usage:
  lakesync [serve] [flags]        starts the gateway
  lakesync token --sub <user>     prints a token
  lakesync access list            says who and what is kept out of a gateway
  lakesync access deny            keeps a user, device or table out, at once
  lakesync access allow           lets them in again
  lakesync keys list              says which keys sign and check tokens
  lakesync keys rotate            makes a new signing key, prints its name
  lakesync keys retire <kid>      withdraws a key at once, secret for the first one
  lakesync rules check            says what is wrong with sync rules
  lakesync rules explain          says why a user sees a row and may write it, or not
  lakesync migrate                brings what one destination holds to another one
  lakesync lake maintain          merges changes, compacts and cleans up a lake, once
  lakesync query "SELECT …"       answers SQL over a lake, now or at an earlier moment
  lakesync history <table> <row>  says who changed which cell of a row when
  lakesync backup                 copies a data folder while a server runs on it
  lakesync backup verify <folder> reads a backup whole and says whether it is as it was made
  lakesync restore                puts a backup into an empty data folder
  lakesync cursors list           says how far sources and destinations of a gateway are
  lakesync cursors reset          forgets one of them
  lakesync audit                  says what admins did, and what was refused to them
  lakesync help | --version

In brackets: the environment variable that a flag wins over, and the default.

${COMMAND_SETTINGS.map(([command, settings]) => `${command}\n${lines(settings)}\n`).join("\n")}`;
