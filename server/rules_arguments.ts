/**
 * From the arguments of `lakesync rules …` to what they ask for.
 *
 * @module
 */

import { RULES_CHECK_SETTINGS, RULES_EXPLAIN_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** How to reach a gateway of a server that runs, as admin. */
export interface ServerAddress {
  /** Where the server is. */
  readonly url: string;
  /** The gateway. */
  readonly gw: string;
  /** A token of role admin; one is signed unless given. */
  readonly token: string | undefined;
  /** The data folder whose secret signs it. */
  readonly data: string;
  /** The secret that signs it instead. */
  readonly secret: string | undefined;
  /** The `iss` claim of the token that is signed. */
  readonly issuer: string | undefined;
  /** The `aud` claim of the token that is signed. */
  readonly audience: string | undefined;
}

/** Which rules to check. */
export interface RulesCheckConfig {
  /** What to do. */
  readonly command: "rules check";
  /** The file of the rules. */
  readonly rules: string;
  /** The schema's file, or the server that has it. */
  readonly schema: string | ServerAddress;
}

/** What to explain. */
export interface RulesExplainConfig {
  /** What to do. */
  readonly command: "rules explain";
  /** The claims of the user's token. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** The table. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
  /** Where it is asked. */
  readonly server: ServerAddress;
}

/** What `lakesync rules …` asks for. */
export type RulesCommand = RulesCheckConfig | RulesExplainConfig;

/**
 * The server that flags name.
 *
 * @param values the settings that were given, those of a server among them
 * @throws {UsageError}
 */
export function serverAddress(values: Values): ServerAddress {
  const url = values.needed("url");
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new UsageError("--url is an http or https address");
  }
  return {
    url: url.replace(/\/+$/, ""),
    gw: values.needed("gw"),
    token: values.optional("token"),
    data: values.needed("data"),
    secret: values.secret(),
    issuer: values.optional("issuer"),
    audience: values.optional("audience"),
  };
}

function explainConfig(values: Values): RulesExplainConfig {
  const server = serverAddress(values);
  const sub = values.needed("sub");
  return {
    command: "rules explain",
    claims: {
      gw: server.gw,
      role: "client",
      ...values.claims(),
      sub,
    },
    table: values.needed("table"),
    rowId: values.needed("row"),
    server,
  };
}

/**
 * Reads the arguments after `rules`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @returns what to do
 * @throws {UsageError}
 */
export function rulesCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
): RulesCommand {
  const [first, ...rest] = args;
  if (first === "check") {
    const values = new Values(rest, RULES_CHECK_SETTINGS, env);
    return {
      command: "rules check",
      rules: values.needed("rules"),
      schema: values.optional("schema") ?? serverAddress(values),
    };
  }
  if (first === "explain") return explainConfig(new Values(rest, RULES_EXPLAIN_SETTINGS, env));
  throw new UsageError("There are the commands rules check and rules explain");
}
