/**
 * `lakesync serve`: opens the stores, starts the server, says so, and waits for a signal.
 *
 * @module
 */

import { memoryObjects, type ObjectStore, openFileObjects } from "@lakesync/adapters";
import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import manifest from "./deno.json" with { type: "json" };
import { readOrMakeSecret } from "./auth/secret.ts";
import { signToken } from "./auth/token.ts";
import type { TrustOptions } from "./auth/verify.ts";
import type { ServeConfig } from "./config.ts";
import { configureLog } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";
import { startText } from "./start_text.ts";
import { openKvStores } from "./store/kv.ts";
import { memoryStores } from "./store/memory.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import type { ServerStores } from "./store/store.ts";

/** The version of the command. */
export const VERSION: string = manifest.version;

const DEVELOPMENT_TTL_SECONDS = 24 * 60 * 60;

const logger = getLogger(["lakesync", "server"]);

async function openStores(
  { store, data }: ServeConfig,
): Promise<ServerStores> {
  switch (store) {
    case "memory":
      return memoryStores();
    case "sqlite":
      return await openSqliteStores(data);
    case "kv":
      return await openKvStores(data);
  }
}

/** Objects are kept beside the data, under the same lock. */
async function openObjects({ store, data }: ServeConfig): Promise<ObjectStore> {
  return store === "memory" ? memoryObjects() : await openFileObjects(join(data, "objects"));
}

/** Resolves with the first signal that asks the process to end; a second one ends it at once. */
function firstSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM"];
  let asked = false;
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => {
      if (asked) Deno.exit(130);
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

async function developmentToken(
  { issuer, audience }: ServeConfig,
  secret: string,
): Promise<string> {
  return await signToken({
    secret,
    sub: "developer",
    gw: "*",
    role: "admin",
    ttlSeconds: DEVELOPMENT_TTL_SECONDS,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  });
}

function listenError(error: unknown, { host, port }: ServeConfig): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new Error(
      `Port ${port} of ${host} is in use, stop what listens there or give another --port`,
    );
  }
  return error;
}

/**
 * Serves until a signal comes.
 *
 * @param config how
 * @returns resolves when everything is closed
 */
export async function serve(config: ServeConfig): Promise<void> {
  configureLog(config);
  const { secret, jwksUrl, issuer, audience, data } = config;
  const stores = await openStores(config);
  let development: string | undefined;
  let server: RunningServer;
  try {
    if (secret === undefined && jwksUrl === undefined) {
      development = await readOrMakeSecret(data);
    }
    const key = secret ?? development;
    const trust: TrustOptions = {
      ...(key === undefined ? {} : { secrets: [key] }),
      ...(jwksUrl === undefined ? {} : { jwksUrl }),
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    };
    server = await startServer({
      stores,
      objects: await openObjects(config),
      trust,
      hostname: config.host,
      port: config.port,
      openAccess: config.dev,
      gateways: config.gateways,
      destinations: config.destinations,
      retention: config.retention,
      auditKeepDays: config.auditKeepDays,
      limits: config.limits,
      proxies: config.proxies,
    });
  } catch (error) {
    await stores.close();
    throw listenError(error, config);
  }
  const signal = firstSignal();
  console.error(startText({
    config,
    version: VERSION,
    url: server.url,
    hasSchema: server.hasSchema,
    hasRules: server.hasRules,
    ...(development === undefined ? {} : { token: await developmentToken(config, development) }),
  }));
  logger.info("{signal}: stopping", { signal: await signal });
  await server.close();
}
