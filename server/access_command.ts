/**
 * `lakesync access list`, `deny` and `allow`: who and what is kept out of a gateway of a server that
 * runs.
 *
 * @module
 */

import { ACCESS_KINDS, type AccessNames } from "./access/model.ts";
import { type AccessAnswer, fetchAccess, requestAccessChange } from "./admin_client.ts";
import { type ServerAddress, serverAddress } from "./rules_arguments.ts";
import { ACCESS_CHANGE_SETTINGS, ACCESS_LIST_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** What `lakesync access …` asks for. */
export type AccessCommand =
  & {
    /** The server and its gateway. */
    readonly server: ServerAddress;
  }
  & (
    | {
      /** What to do. */
      readonly command: "access list";
    }
    | {
      /** What to do. */
      readonly command: "access deny" | "access allow";
      /** Whom and what. */
      readonly names: AccessNames;
    }
  );

/**
 * Reads the arguments after `access`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @returns what to do
 * @throws {UsageError}
 */
export function accessCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
): AccessCommand {
  const [first, ...rest] = args;
  if (first === "list") {
    const server = serverAddress(new Values(rest, ACCESS_LIST_SETTINGS, env));
    return { command: "access list", server };
  }
  if (first !== "deny" && first !== "allow") {
    throw new UsageError("There are the commands access list, access deny and access allow");
  }
  const values = new Values(rest, ACCESS_CHANGE_SETTINGS, env);
  const names = {
    users: values.list("user"),
    clients: values.list("client"),
    tables: values.list("table"),
  };
  if (ACCESS_KINDS.every((kind) => names[kind].length === 0)) {
    throw new UsageError("Name whom or what by --user, --client or --table");
  }
  return { command: `access ${first}`, server: serverAddress(values), names };
}

function linesOf({ deny, allow }: AccessAnswer): readonly string[] {
  return ACCESS_KINDS.flatMap((kind) => [
    ...deny[kind].map((name) => `denied   ${kind.slice(0, -1)} ${JSON.stringify(name)}`),
    ...(allow[kind] ?? []).map((name) => `allowed  ${kind.slice(0, -1)} ${JSON.stringify(name)}`),
    ...(allow[kind]?.length === 0 ? [`allowed  no ${kind.slice(0, -1)}`] : []),
  ]);
}

/**
 * Does what `lakesync access …` asks for.
 *
 * @param command what
 * @returns the lists as they hold then, line by line
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function runAccess(command: AccessCommand): Promise<readonly string[]> {
  switch (command.command) {
    case "access list":
      return linesOf(await fetchAccess(command.server));
    case "access deny":
      return linesOf(await requestAccessChange(command.server, { deny: command.names }));
    case "access allow":
      return linesOf(await requestAccessChange(command.server, { undeny: command.names }));
  }
}
