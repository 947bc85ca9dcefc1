/**
 * From the arguments of `lakesync query` and `lakesync history` to what they ask for.
 *
 * @module
 */

import type { AsOf } from "@lakesync/adapters/lake/query";
import { isGatewayId } from "@lakesync/core";
import type { ConfigFile } from "./config_file.ts";
import { completeAll, DATA_LAKE } from "./destinations/lake_defaults.ts";
import { destinationAt } from "./destinations/parse.ts";
import { partsOf } from "./destinations/parts.ts";
import type { DestinationSpecs, LakeSpec } from "./destinations/spec.ts";
import { type ServerAddress, serverAddress } from "./rules_arguments.ts";
import { HISTORY_SETTINGS, QUERY_SETTINGS } from "./settings.ts";
import { UsageError, Values } from "./values.ts";

/** From where what is not flushed yet is read. */
export type TailChoice = "auto" | "server" | "data" | "none";

/** A lake, and when it is asked about. */
export interface AskedLake {
  /** The lake. */
  readonly lake: LakeSpec;
  /** The server of its gateway. */
  readonly server: ServerAddress;
  /** From where what is not flushed yet is read. */
  readonly tail: TailChoice;
  /** The moment; now unless given. */
  readonly asOf: AsOf | undefined;
}

/** How rows are written. */
export type QueryFormat = "table" | "csv" | "json" | "parquet";

/** What is asked. */
export interface QueryConfig extends AskedLake {
  /** What to do. */
  readonly command: "query";
  /** The question. */
  readonly sql: string;
  /** How rows are written. */
  readonly format: QueryFormat;
  /** Where to; standard output unless given. */
  readonly out: string | undefined;
}

/** Whose history is asked for. */
export interface HistoryConfig extends AskedLake {
  /** What to do. */
  readonly command: "history";
  /** The table. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
  /** How it is written. */
  readonly format: "table" | "json";
}

/**
 * Parts words, which may stand before, between and behind flags, from the flags. SQL may begin with
 * a comment; behind `--` all are words.
 */
function parted(
  args: readonly string[],
): readonly [words: readonly string[], flags: readonly string[]] {
  const end = args.indexOf("--");
  const [open, words] = end < 0 ? [args, []] : [args.slice(0, end), args.slice(end + 1)];
  const before: string[] = [];
  const flags: string[] = [];
  for (const arg of open) {
    const last = flags.at(-1);
    const isValue = last !== undefined && isFlag(last) && !last.includes("=");
    if (isValue || isFlag(arg)) flags.push(arg);
    else before.push(arg);
  }
  return [[...before, ...words], flags];
}

/** No flag of these commands goes without a value. */
function isFlag(arg: string): boolean {
  return /^--[\w-]+(=|$)/.test(arg);
}

/**
 * Finds the configuration that these commands name.
 *
 * @param args the arguments behind the command's name
 * @param env reads an environment variable
 */
export function queryConfigPath(
  command: "query" | "history",
  args: readonly string[],
  env: (name: string) => string | undefined,
): string | undefined {
  const settings = command === "query" ? QUERY_SETTINGS : HISTORY_SETTINGS;
  return new Values(parted(args)[1], settings, env).optional("config");
}

/**
 * Reads a moment.
 *
 * @param text a commit's number, `snapshot:` and a snapshot's, or a time
 */
export function asOfOf(text: string): AsOf {
  if (/^\d{1,16}$/.test(text)) return { seq: Number(text) };
  const snapshot = /^snapshot:(\d{1,19})$/.exec(text)?.[1];
  if (snapshot !== undefined) return { snapshot: BigInt(snapshot) };
  if (/^\d{4}-\d\d-\d\d/.test(text)) return text;
  throw new UsageError(
    "--as-of is a time such as 2026-01-31T09:30:00Z, a commit such as 120, or snapshot:<id>",
  );
}

function lakeOf(
  values: Values,
  env: (name: string) => string | undefined,
  { gateways, destinations }: ConfigFile,
): LakeSpec {
  const gw = values.needed("gw");
  if (!isGatewayId(gw)) throw new UsageError("--gw is the id of one gateway");
  const named = values.optional("lake");
  const known = gateways[gw]?.destinations ?? destinations;
  const specs = named === undefined ? known : specsNamed(values, named, known);
  const complete = completeAll(Object.keys(specs).length === 0 ? { lake: DATA_LAKE } : specs, {
    env,
    data: values.needed("data"),
  });
  const lakes = Object.entries(complete).flatMap(([name, spec]) =>
    [...partsOf(spec)].flatMap((part) =>
      part.type === "lake" && part.flushFormat !== "json" ? [{ name, part }] : []
    )
  );
  const [first, second] = lakes;
  if (first === undefined) {
    throw named === undefined
      ? new UsageError(`The gateway ${gw} has no lake with tables as a destination, give --lake`)
      : values.wrong("lake", `${named} is no lake with tables`);
  }
  if (second === undefined) return first.part;
  const names = [...new Set(lakes.map(({ name }) => name))].join(", ");
  throw new UsageError(`There are several lakes, give --lake with one of ${names}`);
}

function specsNamed(
  values: Values,
  named: string,
  known: DestinationSpecs,
): DestinationSpecs {
  const spec = Object.hasOwn(known, named) ? known[named] : undefined;
  if (spec !== undefined) return { [named]: spec };
  const lake = named === "lake" || named.includes("://") ? destinationAt(named) : undefined;
  if (lake?.type === "lake") return { lake };
  const names = Object.keys(known).join(", ");
  throw values.wrong(
    "lake",
    `is lake, file:///…, s3://… or a name in --config${names && `: ${names}`}`,
  );
}

function askedLake(
  values: Values,
  env: (name: string) => string | undefined,
  file: ConfigFile,
): AskedLake {
  const asOf = values.optional("as-of");
  return {
    lake: lakeOf(values, env, file),
    server: serverAddress(values),
    tail: values.oneOf("tail", ["auto", "server", "data", "none"]),
    asOf: asOf === undefined ? undefined : asOfOf(asOf),
  };
}

/**
 * Reads the arguments of `lakesync query`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param file what the configuration file says
 * @throws {UsageError}
 */
export function queryConfig(
  args: readonly string[],
  env: (name: string) => string | undefined,
  file: ConfigFile,
): QueryConfig {
  const [[sql, ...more], flags] = parted(args);
  if (sql === undefined || more.length > 0) {
    throw new UsageError('The SQL is one argument, in quotes: lakesync query "SELECT …" [flags]');
  }
  const values = new Values(flags, QUERY_SETTINGS, env, file.settings);
  return {
    command: "query",
    sql,
    ...askedLake(values, env, file),
    format: values.oneOf("format", ["table", "csv", "json", "parquet"]),
    out: values.optional("out"),
  };
}

/**
 * Reads the arguments of `lakesync history`.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param file what the configuration file says
 * @throws {UsageError}
 */
export function historyConfig(
  args: readonly string[],
  env: (name: string) => string | undefined,
  file: ConfigFile,
): HistoryConfig {
  const [[table, rowId, ...more], flags] = parted(args);
  if (table === undefined || rowId === undefined || more.length > 0) {
    throw new UsageError(
      "A table and a row's id are needed: lakesync history <table> <rowId> [flags]",
    );
  }
  const values = new Values(flags, HISTORY_SETTINGS, env, file.settings);
  return {
    command: "history",
    table,
    rowId,
    ...askedLake(values, env, file),
    format: values.oneOf("format", ["table", "json"]),
  };
}
