/**
 * Gives gateways the schema and the rules that a server is configured with.
 *
 * @module
 */

import { canonicalJson, type JsonValue, LakeSyncError, parseSchema } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { AuditEvent } from "./audit/audit.ts";
import { rulesDetails, schemaDetails } from "./audit/details.ts";
import type { AccessConfig } from "./access/model.ts";
import type { GatewayConfig, GatewayConfigs } from "./config_file.ts";
import type { Gateway, Gateways } from "./gateway/gateway.ts";

const logger = getLogger(["lakesync", "server"]);

/** Rules of a large gateway may take long to build; a server waits for them a day, in milliseconds. */
const BUILD_WAIT_MS = 24 * 60 * 60 * 1000;

/** Is told of what was changed. */
export type Told = (event: AuditEvent) => Promise<void>;

const BY_FILE = { outcome: "done", sub: "configuration" } as const;

function asJson(value: object): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

async function prepareSchema(gateway: Gateway, schema: JsonValue, told: Told): Promise<void> {
  const held = gateway.schema?.version ?? 0;
  const { version } = parseSchema(schema);
  if (version < held) {
    throw new LakeSyncError(
      "SCHEMA_CONFLICT",
      `The file has schema version ${version}, the gateway ${held}; update the file`,
    );
  }
  const put = await gateway.putSchema(schema);
  if (version === held) return;
  const details = schemaDetails(held, put);
  await told({ ...BY_FILE, what: "schema.put", gatewayId: gateway.id, details });
  if (held === 0) return;
  logger.warning(
    "Gateway {id}: schema version {held} was replaced by version {version} of the file",
    { id: gateway.id, held, version },
  );
}

async function prepareRules(gateway: Gateway, wanted: JsonValue, told: Told): Promise<void> {
  const before = await gateway.rules();
  const held = before.building ?? before.rules;
  const same = held !== undefined && canonicalJson(asJson(held)) === canonicalJson(wanted);
  if (same && before.building === undefined) return;
  const { rules, building } = await gateway.putRules(wanted, BUILD_WAIT_MS);
  if (building !== undefined || rules === undefined) {
    throw new LakeSyncError("INTERNAL_ERROR", "The rules could not be built, the log knows more");
  }
  if (!same) {
    const details = rulesDetails(before.rules, rules, false);
    await told({ ...BY_FILE, what: "rules.put", gatewayId: gateway.id, details });
  }
  if (held === undefined || same) return;
  logger.warning("Gateway {id}: its sync rules were replaced by those of the file", {
    id: gateway.id,
  });
}

/** A name of no table would close nothing, and nobody would notice. */
function checkTables({ schema }: Gateway, { tables }: AccessConfig): void {
  const names = [...tables?.deny ?? [], ...tables?.allow ?? []];
  const unknown = names.find((name) => schema?.tables.has(name) !== true);
  if (unknown === undefined) return;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    `access.tables names ${JSON.stringify(unknown)}, which no table of its schema is called`,
  );
}

async function prepareOne(
  gateway: Gateway,
  { schema, rules, access }: GatewayConfig,
  told: Told,
): Promise<void> {
  if (schema !== undefined) await prepareSchema(gateway, asJson(schema), told);
  if (access !== undefined) checkTables(gateway, access);
  if (rules !== undefined) await prepareRules(gateway, asJson(rules), told);
}

/**
 * Makes gateways hold what is configured, and waits until their rules hold. What is so already
 * stays untouched; what was otherwise is replaced, and the log says so.
 *
 * @param gateways the gateways of a server
 * @param configs schema and rules by gateway id
 * @param told is told of what was changed
 * @throws {LakeSyncError} what `putSchema` and `putRules` throw, with the gateway in the message;
 * `SCHEMA_CONFLICT` too when a schema is older than the gateway's
 */
export async function prepareGateways(
  gateways: Gateways,
  configs: GatewayConfigs,
  told: Told = () => Promise.resolve(),
): Promise<void> {
  for (const [id, config] of Object.entries(configs)) {
    try {
      await prepareOne(await gateways.create(id), config, told);
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
