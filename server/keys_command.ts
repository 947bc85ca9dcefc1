/**
 * `lakesync keys list`, `rotate` and `retire`: the keys of a data folder. A server that runs takes
 * over what they change by itself.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { auditCommand } from "./audit/command_audit.ts";
import { fingerprintOf, SECRET_NAME } from "./auth/key.ts";
import { keyFilePath, readKeyFile } from "./auth/key_file.ts";
import { type KeyOwner, type KeysChanged, retireKey, rotateKeys } from "./auth/rotate.ts";
import { readSecret } from "./auth/secret.ts";
import { parseTime } from "./durations.ts";
import { KEYS_RETIRE_SETTINGS, KEYS_ROTATE_SETTINGS, KEYS_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** What `lakesync keys …` asks for. */
export type KeysCommand =
  & {
    /** Whose keys. */
    readonly owner: KeyOwner;
  }
  & (
    | {
      /** What to do. */
      readonly command: "keys list";
    }
    | {
      /** What to do. */
      readonly command: "keys rotate";
      /** For how long the keys before are trusted, in milliseconds. */
      readonly keepMs: number;
    }
    | {
      /** What to do. */
      readonly command: "keys retire";
      /** The key. */
      readonly kid: string;
    }
  );

function ownerOf(values: Values): KeyOwner {
  return { data: values.needed("data"), secret: values.secret() };
}

/**
 * Reads the arguments after `keys`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @returns what to do
 * @throws {UsageError}
 */
export function keysCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
): KeysCommand {
  const [first, ...rest] = args;
  if (first === "list") {
    return { command: "keys list", owner: ownerOf(new Values(rest, KEYS_SETTINGS, env)) };
  }
  if (first === "rotate") {
    const values = new Values(rest, KEYS_ROTATE_SETTINGS, env);
    const keepMs = parseTime("keep", values.needed("keep")) * 1000;
    return { command: "keys rotate", owner: ownerOf(values), keepMs };
  }
  if (first === "retire") {
    const [kid, ...flags] = rest;
    if (kid === undefined || kid.startsWith("-")) {
      throw new UsageError("Name the key: lakesync keys retire <kid>");
    }
    const values = new Values(flags, KEYS_RETIRE_SETTINGS, env);
    return { command: "keys retire", owner: ownerOf(values), kid };
  }
  throw new UsageError("There are the commands keys list, keys rotate and keys retire");
}

/** What the command prints. */
export interface KeysReport {
  /** Data. */
  readonly lines: readonly string[];
  /** For people. */
  readonly notes: readonly string[];
}

const at = (ms: number) => new Date(ms).toISOString();

async function list({ data, secret }: KeyOwner, nowMs: number): Promise<KeysReport> {
  const file = await readKeyFile(keyFilePath(data));
  const rows: string[][] = [];
  const first = secret ?? await readSecret(data);
  const newest = file.keys.findLast(({ endsMs }) => endsMs === undefined);
  const state = (endsMs: number | undefined, signs: boolean) => {
    if (endsMs === undefined) return signs ? "signs" : "checks";
    return `${endsMs <= nowMs ? "ended" : "checks until"} ${at(endsMs)}`;
  };
  if (first !== undefined) {
    const print = fingerprintOf(first);
    const ending = file.endings.find(({ fingerprint }) => fingerprint === print);
    rows.push([SECRET_NAME, "HS256", state(ending?.endsMs, newest === undefined), ""]);
  }
  for (const key of file.keys) {
    rows.push([key.kid, "HS256", state(key.endsMs, key === newest), `made ${at(key.createdMs)}`]);
  }
  for (const { kid, atMs } of file.withdrawn) rows.push([kid, "", `withdrawn ${at(atMs)}`, ""]);
  const width = Math.max(0, ...rows.map(([kid = ""]) => kid.length));
  const lines = rows.map(([kid = "", alg = "", what = "", made = ""]) =>
    `${kid.padEnd(width)}  ${alg.padEnd(5)}  ${what.padEnd(40)}${made}`.trimEnd()
  );
  const notes = rows.length > 0 ? [] : [`There are no keys in ${data} yet, the gateway makes one`];
  return { lines, notes };
}

function endOf(ended: readonly string[], keepMs: number, nowMs: number): string {
  if (ended.length === 0) return "No other key checked tokens for longer";
  if (keepMs === 0) return `Tokens signed by ${ended.join(", ")} are refused from now on`;
  const verb = ended.length === 1 ? "checks" : "check";
  return `${ended.join(", ")} ${verb} tokens until ${at(nowMs + keepMs)}`;
}

function rotated({ kid, ended }: KeysChanged, end: string, { secret }: KeyOwner): KeysReport {
  return {
    lines: [kid],
    notes: [
      `Tokens of lakesync token are signed by ${kid} from now on`,
      end,
      ...(secret !== undefined || ended.includes(SECRET_NAME) ? [] : [
        "A secret that the server is given by --secret or LAKESYNC_SECRET stays; " +
        "give it here too, that it ends as well",
      ]),
    ],
  };
}

function retired(
  { kid, isNew, ended, isElsewhere = false }: KeysChanged,
  { data, secret }: KeyOwner,
): KeysReport {
  return {
    lines: [kid],
    notes: [
      `Tokens signed by ${ended.join(", ")} are refused from now on`,
      isNew ? `The new key ${kid} signs in its place` : `${kid} signs`,
      // Whoever has a leaked key at hand must not be mistaken in what they have ended.
      ...(isElsewhere
        ? [
          `No key in ${data} had that name, lakesync keys list shows them; ` +
          "it is right for one of the configuration or of the JWKS URL",
        ]
        : []),
      ...(ended.includes(SECRET_NAME) && secret === undefined
        ? [
          `That was the secret in ${data}; one that the server is given by --secret or ` +
          "LAKESYNC_SECRET stays, give it here that it ends",
        ]
        : []),
    ],
  };
}

async function audit({ data }: KeyOwner, act: string, changed: KeysChanged): Promise<void> {
  const details = { act, signs: changed.kid, ended: [...changed.ended] };
  await auditCommand(data, { what: "keys.change", outcome: "done", details });
}

/**
 * Does what `lakesync keys …` asks for.
 *
 * @param command what
 * @returns what to print: for `rotate` and `retire` the name of the key that signs
 * @throws {UsageError} when a name is none
 * @throws {LakeSyncError} `VALIDATION_ERROR` when keys cannot be read
 */
export async function runKeys(command: KeysCommand): Promise<KeysReport> {
  const { owner } = command;
  const nowMs = Date.now();
  try {
    switch (command.command) {
      case "keys list":
        return await list(owner, nowMs);
      case "keys rotate": {
        const changed = await rotateKeys(owner, command.keepMs, nowMs);
        await audit(owner, "rotate", changed);
        return rotated(changed, endOf(changed.ended, command.keepMs, nowMs), owner);
      }
      case "keys retire": {
        const changed = await retireKey(owner, command.kid, nowMs);
        await audit(owner, "retire", changed);
        return retired(changed, owner);
      }
    }
  } catch (error) {
    throw error instanceof LakeSyncError && command.command === "keys retire"
      ? new UsageError(error.message)
      : error;
  }
}
