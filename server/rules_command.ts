/**
 * `lakesync rules check` and `lakesync rules explain`.
 *
 * @module
 */

import { LakeSyncError, parseSchema } from "@lakesync/core";
import { fetchExplanation, fetchSchema } from "./admin_client.ts";
import { loadModule } from "./load_module.ts";
import type { RulesCheckConfig, RulesExplainConfig } from "./rules_arguments.ts";
import { rulesProblems, rulesSummary } from "./rules_problems.ts";

/** Loads a file; what its own check refuses is what is wrong with it. */
async function load(path: string, name: "rules" | "schema"): Promise<unknown> {
  try {
    return await loadModule(path, name);
  } catch (error) {
    if (error instanceof LakeSyncError || error instanceof Deno.errors.NotCapable) throw error;
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: ${what}`, { cause: error });
  }
}

/** What a check found. */
export interface RulesChecked {
  /** What is wrong with the rules, each with its place; empty when nothing is. */
  readonly problems: readonly string[];
  /** What they are made of, in one line; undefined when something is wrong. */
  readonly summary: string | undefined;
}

/**
 * Checks rules.
 *
 * @param config which
 * @returns what is wrong with them, or what they are made of
 * @throws {Error} when rules or schema cannot be read
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the schema is not valid, `VALIDATION_ERROR` when the
 * module of the rules finds them wrong itself
 */
export async function checkRules(config: RulesCheckConfig): Promise<RulesChecked> {
  const { schema } = config;
  const spec = typeof schema === "string"
    ? await load(schema, "schema")
    : await fetchSchema(schema);
  const parsed = parseSchema(spec);
  const rules = await load(config.rules, "rules");
  const problems = rulesProblems(rules, parsed);
  return { problems, summary: problems.length === 0 ? rulesSummary(rules, parsed) : undefined };
}

/**
 * Explains a row.
 *
 * @param config who, which row, and where to ask
 * @returns the reasons, line by line
 * @throws {Error} when the server does not answer or refuses
 */
export async function explainRules(config: RulesExplainConfig): Promise<readonly string[]> {
  const { server, claims, table, rowId } = config;
  const { lines } = await fetchExplanation(server, { claims, table, rowId });
  return lines;
}
