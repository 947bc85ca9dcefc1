/**
 * The tables of docs/operations.md, each made of the source of what it tells.
 *
 * @module
 */

import {
  DEFAULT_LIMITS,
  ERROR_STATUS,
  MAX_REPAIR_BUCKETS,
  MAX_WAIT_SECONDS,
  PULL_LIMIT,
  RULE_LIMITS,
} from "@lakesync/core";
import { parse as parseYaml } from "yaml";
import { AUDIT_ACTIONS } from "../../server/audit/actions.ts";
import { DATA_FILES, EXIT_CODES } from "../../server/data_files.ts";
import { DEFAULT_RETENTION } from "../../server/gateway/environment.ts";
import { COMMAND_SETTINGS } from "../../server/help.ts";
import { ERROR_HELP, TRANSACTION_HELP } from "../../server/http/error_help.ts";
import { OPERATIONS } from "../../server/http/openapi_operations.ts";
import { ROUTES } from "../../server/http/routes.ts";
import { DEFAULT_SERVER_LIMITS, limitFlag } from "../../server/limits.ts";
import { METRICS } from "../../server/observe/metric_table.ts";
import { readText } from "./files.ts";

type Rows = readonly (readonly string[])[];

/** A table in Markdown; `deno fmt` makes it wide. */
function table(head: readonly string[], rows: Rows): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("\n", " ").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string | undefined): string {
  return text === undefined || text === "" ? "" : `\`${text}\``;
}

const UNITS: Readonly<Record<string, readonly (readonly [name: string, size: number])[]>> = {
  Bytes: [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]],
  Ms: [["days", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]],
};

/** A number as people read it, by the unit at the end of its name. */
export function amount(name: string, value: number): string {
  const plain = value.toLocaleString("en-US");
  const units = UNITS[/(Bytes|Ms)$/.exec(name)?.[0] ?? ""] ?? [];
  const found = units.find(([, size]) => value > size && value % size === 0) ??
    units.find(([, size]) => value === size);
  return found === undefined ? plain : `${plain} (${value / found[1]} ${found[0]})`;
}

/** The descriptions of an interface's fields, or of a constant's, in a TypeScript source. */
export function descriptionsIn(source: string, name: string): ReadonlyMap<string, string> {
  const from = source.search(new RegExp(`^export (interface|const) ${name}\\b`, "m"));
  if (from < 0) throw new Error(`There is no ${name}`);
  const body = source.slice(from, source.indexOf("\n}", from));
  const field = /\/\*\*([\s\S]*?)\*\/\s*(?:readonly )?(\w+)\??:/g;
  return new Map(
    [...body.matchAll(field)].map(([, text = "", key = ""]) => [
      key,
      text.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim()).join(" ").trim()
        .replace(/\.$/, ""),
    ]),
  );
}

async function described(path: string, name: string, values: object): Promise<Rows> {
  const texts = descriptionsIn(await readText(path), name);
  return Object.entries(values).map(([key, value]) => {
    const text = texts.get(key);
    if (text === undefined) throw new Error(`${path} does not describe ${key}`);
    return [code(key), typeof value === "number" ? amount(key, value) : code(String(value)), text];
  });
}

/** The flags of all commands; those of `serve` are settings of the configuration file too. */
export function flags(): string {
  return COMMAND_SETTINGS.map(([command, settings]) => {
    const rows = settings.map(({ flag, value, env, fallback, help }) => [
      code(`--${flag}${value === "" ? "" : ` ${value}`}`),
      code(env),
      code(fallback),
      help,
    ]);
    return `#### ${command}\n\n${table(["flag", "variable", "default", "what it is for"], rows)}`;
  }).join("\n\n");
}

/** The limits that can be set, and those that are fixed. */
export async function limits(): Promise<string> {
  const own = await described("server/limits.ts", "ServerLimits", DEFAULT_SERVER_LIMITS);
  const adjustable = own.map(([key = "", value = "", text = ""]) => [
    key,
    code(`--${limitFlag(key.replaceAll("`", "") as keyof typeof DEFAULT_SERVER_LIMITS)}`),
    value,
    text,
  ]);
  const fixed = [
    ...await described("core/limits.ts", "Limits", DEFAULT_LIMITS),
    ["rows of a page", amount("", PULL_LIMIT.default), `at most ${amount("", PULL_LIMIT.max)}`],
    ["`wait` of a pull", `${MAX_WAIT_SECONDS} s`, "More is cut to that"],
    ["`repair` of a pull", amount("", MAX_REPAIR_BUCKETS), "Buckets that are sent whole at once"],
  ];
  const kept = await described("server/gateway/environment.ts", "Retention", DEFAULT_RETENTION);
  const rules = await described("core/rules/spec.ts", "RULE_LIMITS", RULE_LIMITS);
  const head = ["limit", "value", "of what"];
  return [
    "What a process holds its callers and itself to; each is a flag, a variable and a setting:",
    table(["limit", "flag", "default", "of what"], adjustable),
    "What the protocol allows; fixed:",
    table(head, fixed),
    "What a gateway keeps:",
    table(head, kept),
    "What a set of sync rules may have; fixed:",
    table(head, rules),
  ].join("\n\n");
}

/** The metrics. */
export function metrics(): string {
  return table(
    ["metric", "type", "labels", "what it tells"],
    METRICS.map(({ name, type, labels = [], help, buckets }) => [
      code(name),
      type,
      labels.map(code).join(", "),
      buckets === undefined ? help : `${help}. Buckets: ${buckets.join(", ")}`,
    ]),
  );
}

/** An alert as Prometheus reads it. */
export interface Alert {
  /** Its name. */
  readonly alert: string;
  /** When it holds. */
  readonly expr: string;
  /** For how long it must hold. */
  readonly for?: string;
  /** Its severity among others. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What people are told. */
  readonly annotations?: Readonly<Record<string, string>>;
}

function isAlert(rule: unknown): rule is Alert {
  return typeof rule === "object" && rule !== null && "alert" in rule;
}

const ALERTS = "docs/operations/alerts.yml";

/** The summary of an alert without its templates: `{{ $labels.x }}` becomes `<x>`. */
function plainSummary(text: string): string {
  return text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, "\\<$1>")
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, "\\<value>");
}

/** The alerts that ship with the gateway. */
export async function readAlerts(): Promise<readonly Alert[]> {
  const { groups } = parseYaml(await readText(ALERTS)) as {
    readonly groups: readonly { readonly rules: readonly unknown[] }[];
  };
  return groups.flatMap(({ rules }) => rules).filter(isAlert);
}

/** The alerts, each with its runbook. */
export async function alerts(): Promise<string> {
  const rows = (await readAlerts()).map(({ alert, labels, annotations, ...rule }) => {
    const runbook = annotations?.["runbook"] ?? "";
    return [
      code(alert),
      labels?.["severity"] ?? "",
      rule.for ?? "at once",
      plainSummary(annotations?.["summary"] ?? ""),
      `[${runbook}](operations/runbooks.md#${runbook})`,
    ];
  });
  return table(["alert", "severity", "after", "what it says", "runbook"], rows);
}

/** The codes of errors. */
export function errors(): string {
  const requests = Object.entries(ERROR_HELP).map(([name, { meaning, remedy }]) => [
    code(name),
    String(Reflect.get(ERROR_STATUS, name)),
    meaning,
    remedy,
  ]);
  const transactions = Object.entries(TRANSACTION_HELP)
    .map(([name, { meaning, remedy }]) => [code(name), meaning, remedy]);
  return [
    table(["code", "status", "when", "what to do"], requests),
    "Of one transaction of a push; the others go on:",
    table(["code", "when", "what to do"], transactions),
  ].join("\n\n");
}

/** The actions of the audit log. */
export function auditActions(): string {
  return table(
    ["action", "what happened"],
    Object.entries(AUDIT_ACTIONS).map(([action, meaning]) => [code(action), meaning]),
  );
}

/** The paths that need no token. */
export function probes(): string {
  const rows = Object.entries(ROUTES).flatMap(([path, methods]) =>
    Object.values(methods).filter((id) => OPERATIONS[id].tag === "health").map((id) => {
      const { summary, answers } = OPERATIONS[id];
      return [code(`GET ${path}`), Object.keys(answers).join(", "), summary];
    })
  );
  return table(["path", "answers", "what it tells"], rows);
}

/** The files of a data folder. */
export function files(): string {
  return table(["path", "what it is"], DATA_FILES.map(({ path, what }) => [code(path), what]));
}

/** What the command ends with. */
export function exits(): string {
  return table(["code", "meaning"], EXIT_CODES.map(([number, text]) => [String(number), text]));
}
