/**
 * A server whose gateway `default` has the schema and the rules of this folder, started by
 * `deno task lakesync --config examples/rules/lakesync.config.ts`.
 *
 * @module
 */

import { defineConfig, type LakeSyncConfig } from "@lakesync/server";
import { rules, schema } from "./rules.ts";

const config: LakeSyncConfig = defineConfig({ gateways: { default: { schema, rules } } });

export default config;
