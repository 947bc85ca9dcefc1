/**
 * Rules and buckets: what they cost, and what they must not.
 *
 * @module
 */

import { benchFanOut } from "./fan_out.ts";
import { benchGrant } from "./grant.ts";
import { benchRuleEdit } from "./rule_edit.ts";
import { benchUsers } from "./users.ts";
import { benchCapturedKinds, benchKinds, benchWriteRules } from "./write_rules.ts";

/** Runs the benchmarks of rules and prints their tables. */
export async function benchRules(): Promise<void> {
  await benchGrant();
  await benchUsers();
  await benchWriteRules();
  await benchKinds();
  await benchCapturedKinds();
  await benchFanOut();
  await benchRuleEdit();
}

if (import.meta.main) await benchRules();
