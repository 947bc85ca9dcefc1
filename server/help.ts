/**
 * The text of `lakesync --help`, from the table of settings.
 *
 * @module
 */

import { SERVE_SETTINGS, type Setting, TOKEN_SETTINGS } from "./settings.ts";

function lines(settings: readonly Setting[]): string {
  return settings.map(({ flag, value, help, env, fallback }) => {
    const facts = [env, fallback === undefined ? undefined : `= ${fallback}`];
    const shown = facts.filter((fact) => fact !== undefined).join(" ");
    const text = shown === "" ? help : `${help}\n[${shown}]`;
    return `  ${`--${flag} ${value}`.padEnd(26)}${text.replaceAll("\n", `\n${" ".repeat(28)}`)}`;
  }).join("\n");
}

/** The help. */
export const HELP: string = `LakeSync, a gateway for local-first apps

Usage:
  lakesync [serve] [flags]        starts the gateway
  lakesync token --sub <user>     prints a token
  lakesync --help | --version

In brackets: the environment variable that a flag wins over, and the default.

lakesync serve
${lines(SERVE_SETTINGS)}

lakesync token
${lines(TOKEN_SETTINGS)}
`;
