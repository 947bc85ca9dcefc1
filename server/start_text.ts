/**
 * What a server prints when it has started: where it is, whether clients get in, and with a secret
 * of its own a command to try it with.
 *
 * @module
 */

import type { ServeConfig } from "./config.ts";
import { partsOf } from "./destinations/parts.ts";
import type { AdapterSpec, LakeSpec } from "./destinations/spec.ts";

/** What the text is about. */
export interface StartFacts {
  /** How the server was started. */
  readonly config: ServeConfig;
  /** Its version. */
  readonly version: string;
  /** Where it listens. */
  readonly url: string;
  /** A token to try it with; only where the data folder's own secret signs tokens. */
  readonly token?: string;
  /** Whether the gateway `default` has a schema. */
  readonly hasSchema: boolean;
  /** Whether the gateway `default` has sync rules. */
  readonly hasRules: boolean;
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

function access({ config, hasRules }: StartFacts): string {
  if (config.dev) {
    return "  mode     development: gateways without sync rules are open to every valid token " +
      "(put rules, or --no-dev)\n";
  }
  return hasRules
    ? ""
    : "  rules    none: default is closed to clients until PUT /v1/admin/sync-rules/default\n";
}

function lakePlace({ store, catalog }: LakeSpec): string {
  const tables = catalog?.type === "rest" ? `, tables in ${catalog.uri}` : "";
  if (store?.type !== "s3") return `${store?.folder ?? "lake"}${tables}`;
  const { bucket, prefix, endpoint } = store;
  const at = endpoint === undefined ? "" : ` on ${endpoint}`;
  return `s3://${bucket}${prefix === undefined ? "" : `/${prefix}`}${at}${tables}`;
}

/** Where a destination is, without user and password. */
function place(spec: AdapterSpec): string {
  if (spec.type === "lake") return lakePlace(spec);
  const url = "url" in spec ? URL.parse(spec.url) : null;
  if (url === null) return spec.type;
  const path = url.pathname.replaceAll("%7B", "{").replaceAll("%7D", "}");
  return `${url.protocol}//${url.host}${path}`;
}

function into({ config, url }: StartFacts): string {
  const specs = config.gateways["default"]?.destinations ?? config.destinations;
  const lines = Object.entries(specs)
    .map(([name, spec]) => `  into     ${name} (${place(spec)})\n`);
  const isLake = Object.values(specs).some((spec) =>
    [...partsOf(spec)].some(({ type }) => type === "lake")
  );
  const catalog = `  iceberg  ${url}/v1/iceberg, a catalog for tokens of role admin\n`;
  return lines.join("") + (isLake ? catalog : "");
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
${into(facts)}${access(facts)}`;
  if (token === undefined) return text;
  return `${text}  tokens   this machine only, signed by ${config.data}/secret

Try it, with a token that is valid for a day:

${curl(url, token, hasSchema)}
`;
}
