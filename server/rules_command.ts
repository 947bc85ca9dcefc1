/**
 * `lakesync rules check` and `lakesync rules explain`.
 *
 * @module
 */

import { LakeSyncError, parseSchema } from "@lakesync/core";
import { fetchExplanation, fetchSchema } from "./admin_client.ts";
import { loadModule } from "./load_module.ts";
import type { RulesCheckConfig, RulesExplainConfig } from "./rules_arguments.ts";
import { rulesProblems } from "./rules_problems.ts";

/** Loads a file; what its own check refuses is what is wrong with it. */
async function load(path: string): Promise<unknown> {
  try {
    return await loadModule(path);
  } catch (error) {
    if (error instanceof LakeSyncError || error instanceof Deno.errors.NotCapable) throw error;
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: ${what}`, { cause: error });
  }
}

/**
 * Checks rules.
 *
 * @param config which
 * @returns what is wrong with them, each with its place; empty when nothing is
 * @throws {Error} when rules or schema cannot be read
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the schema is not valid, `VALIDATION_ERROR` when the
 * module of the rules finds them wrong itself
 */
export async function checkRules(config: RulesCheckConfig): Promise<readonly string[]> {
  const { schema } = config;
  const spec = typeof schema === "string" ? await load(schema) : await fetchSchema(schema);
  const parsed = parseSchema(spec);
  return rulesProblems(await load(config.rules), parsed);
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
