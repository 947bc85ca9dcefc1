/**
 * `lakesync serve`: opens the stores, starts the server, says so, and waits for a signal.
 *
 * @module
 */

import { memoryObjects, type ObjectStore, openFileObjects } from "@lakesync/adapters";
import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import manifest from "./deno.json" with { type: "json" };
import { readKeys } from "./auth/key.ts";
import { keyFilePath, readKeyFile } from "./auth/key_file.ts";
import { type SigningKey, signingKey } from "./auth/rotate.ts";
import { readOrMakeSecret } from "./auth/secret.ts";
import { signToken } from "./auth/token.ts";
import type { TrustOptions } from "./auth/verify.ts";
import type { ServeConfig } from "./config.ts";
import { configureLog, logCrashes } from "./log.ts";
import { hideSecret, hideSecretsOf } from "./observe/redact.ts";
import { type RunningServer, startServer } from "./server.ts";
import { startText } from "./start_text.ts";
import { openKvStores } from "./store/kv.ts";
import { memoryStores } from "./store/memory.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import type { ServerStores } from "./store/store.ts";

/** The version of the command. */
export const VERSION: string = manifest.version;

/** Variables that others read, and whose values are never logged. */
const SECRET_VARIABLES = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

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

/**
 * What tokens are checked by: what is given, else the data folder's first secret; beside it always
 * what `lakesync keys` has made.
 */
async function trustOf(
  { secret, jwksUrl, keys, issuer, audience, data }: ServeConfig,
): Promise<TrustOptions> {
  const isGiven = secret !== undefined || jwksUrl !== undefined || keys !== undefined;
  const first = isGiven ? secret : await readOrMakeSecret(data);
  const keyFile = keyFilePath(data);
  await readKeyFile(keyFile);
  return {
    keyFile,
    ...(first === undefined ? {} : { secrets: [first] }),
    ...(keys === undefined ? {} : { keys: await readKeys(keys) }),
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
}

async function developmentToken(
  { issuer, audience }: ServeConfig,
  key: SigningKey,
): Promise<string> {
  return await signToken({
    ...key,
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
  const { secret, destinations, gateways } = config;
  const others = Object.values(gateways).map((gateway) => gateway.destinations);
  hideSecretsOf({ secret, destinations, others });
  for (const name of SECRET_VARIABLES) hideSecret(Deno.env.get(name));
  logCrashes();
  const stores = await openStores(config);
  let server: RunningServer;
  try {
    server = await startServer({
      stores,
      objects: await openObjects(config),
      trust: await trustOf(config),
      ...(config.corsOrigins === undefined ? {} : { http: { corsOrigins: config.corsOrigins } }),
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
  const { jwksUrl, keys } = config;
  const isGiven = secret !== undefined || jwksUrl !== undefined || keys !== undefined;
  const development = isGiven ? undefined : await signingKey(config);
  const facts = {
    config,
    version: VERSION,
    url: server.url,
    hasSchema: server.hasSchema,
    hasRules: server.hasRules,
  };
  if (config.logFormat === "json") {
    const { store, data, dev } = config;
    logger.info(`LakeSync ${VERSION} on ${server.url} has started`, { store, data, dev });
  } else {
    const token = development && await developmentToken(config, development);
    console.error(startText({ ...facts, ...(token === undefined ? {} : { token }) }));
  }
  logger.info("{signal}: stopping", { signal: await signal });
  await server.close();
}
