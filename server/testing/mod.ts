/**
 * What tests of an app use: its sync rules without a server, and a gateway as a process of its own.
 *
 * @module
 */

export type { RowExplanation } from "../gateway/gateway.ts";
export { ServerProcess, type ServerProcessOptions } from "./process.ts";
export {
  type RulesFixture,
  type TestedRules,
  type TestedUser,
  testRules,
  type UserClaims,
} from "./rules.ts";
