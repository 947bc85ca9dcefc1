/**
 * Gives gateways the schema and the rules that a server is configured with.
 *
 * @module
 */

import { canonicalJson, type JsonValue, LakeSyncError } from "@lakesync/core";
import type { GatewayConfig, GatewayConfigs } from "./config_file.ts";
import type { Gateway, Gateways } from "./gateway/gateway.ts";

/** Rules of a large gateway may take long to build; a server waits for them a day, in milliseconds. */
const BUILD_WAIT_MS = 24 * 60 * 60 * 1000;

function asJson(value: object): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

async function prepareOne(gateway: Gateway, { schema, rules }: GatewayConfig): Promise<void> {
  if (schema !== undefined) await gateway.putSchema(asJson(schema));
  if (rules === undefined) return;
  const wanted = asJson(rules);
  const before = await gateway.rules();
  const held = before.building ?? before.rules;
  const same = held !== undefined && canonicalJson(asJson(held)) === canonicalJson(wanted);
  if (same && before.building === undefined) return;
  const { building } = await gateway.putRules(wanted, BUILD_WAIT_MS);
  if (building === undefined) return;
  throw new LakeSyncError("INTERNAL_ERROR", "The rules could not be built, the log knows more");
}

/**
 * Makes gateways hold what is configured, and waits until their rules hold. What is so already
 * stays untouched.
 *
 * @param gateways the gateways of a server
 * @param configs schema and rules by gateway id
 * @throws {LakeSyncError} what `putSchema` and `putRules` throw, with the gateway in the message
 */
export async function prepareGateways(
  gateways: Gateways,
  configs: GatewayConfigs,
): Promise<void> {
  for (const [id, config] of Object.entries(configs)) {
    try {
      await prepareOne(await gateways.create(id), config);
    } catch (error) {
      if (!(error instanceof LakeSyncError)) throw error;
      throw new LakeSyncError(
        error.code,
        `Gateway ${id} cannot be as configured: ${error.message}`,
        error.details,
        { cause: error },
      );
    }
  }
}
