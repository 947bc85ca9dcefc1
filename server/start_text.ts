/**
 * What a server prints when it has started: where it is, and in development mode a command to
 * try it with.
 *
 * @module
 */

import type { ServeConfig } from "./config.ts";

/** What the text is about. */
export interface StartFacts {
  /** How the server was started. */
  readonly config: ServeConfig;
  /** Its version. */
  readonly version: string;
  /** Where it listens. */
  readonly url: string;
  /** A token to try it with; only in development mode. */
  readonly token?: string;
  /** Whether the gateway `default` has a schema. */
  readonly hasSchema: boolean;
}

const EXAMPLE_SCHEMA = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean" },
    },
  },
};

function curl(url: string, token: string, hasSchema: boolean): string {
  const authorization = `-H 'Authorization: Bearer ${token}'`;
  return hasSchema
    ? `curl '${url}/v1/sync/default/pull?clientId=curl' \\
  ${authorization}`
    : `curl -X PUT '${url}/v1/admin/schema/default' \\
  ${authorization} \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify(EXAMPLE_SCHEMA)}'`;
}

/**
 * Writes the text.
 *
 * @param facts what the text is about
 * @returns some lines for standard error
 */
export function startText(facts: StartFacts): string {
  const { config, version, url, token, hasSchema } = facts;
  const data = config.store === "memory"
    ? "in memory, gone when it stops"
    : `${config.data} (${config.store})`;
  const text = `LakeSync ${version} on ${url}
  gateway  default
  data     ${data}
`;
  if (token === undefined) return text;
  return `${text}  mode     development: this machine only, tokens by ${config.data}/secret

Try it, with a token that is valid for a day:

${curl(url, token, hasSchema)}
`;
}
