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
import { configureLog, logCrashes, writeText } from "./log.ts";
import { hideSecret, hideSecretsOf } from "./observe/redact.ts";
import { type RunningServer, startServer } from "./server.ts";
import { startText } from "./start_text.ts";
import { stopSignal } from "./stop_signal.ts";
import { inFolder } from "./store/folder_access.ts";
import { openKvStores } from "./store/kv.ts";
import { memoryStores } from "./store/memory.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import type { ServerStores } from "./store/store.ts";
import { checkStoreKind } from "./store_kind.ts";
import { within } from "./within.ts";

/** The version of the command. */
export const VERSION: string = manifest.version;

/** Variables that others read, and whose values are never logged. */
const SECRET_VARIABLES = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

const DEVELOPMENT_TTL_SECONDS = 24 * 60 * 60;

/** How long a start that is told to stop may go on, in milliseconds. */
const EARLY_STOP_TIMEOUT_MS = 10_000;

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

function isUnknownHost(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("failed to lookup address");
}

function listenError(error: unknown, { host, port }: ServeConfig): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new Error(
      `Port ${port} of ${host} is in use, stop what listens there or give another --port`,
      { cause: error },
    );
  }
  if (error instanceof Deno.errors.AddrNotAvailable || isUnknownHost(error)) {
    return new Error(`${host} is no address of this machine, give another --host`, {
      cause: error,
    });
  }
  return error;
}

async function start(config: ServeConfig): Promise<RunningServer> {
  await inFolder(config.data, () => checkStoreKind(config));
  const stores = await openStores(config);
  try {
    return await startServer({
      stores,
      objects: await inFolder(config.data, () => openObjects(config)),
      trust: await inFolder(config.data, () => trustOf(config)),
      ...(config.tls === undefined ? {} : { tls: config.tls }),
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
}

/**
 * Waits until a server has started, also when it is told to stop meanwhile.
 *
 * @throws {Error} when it is told to stop and does not start for long
 */
async function started(
  starting: Promise<RunningServer>,
  stop: Promise<Deno.Signal>,
): Promise<RunningServer> {
  const early = stop.then(async () => {
    if (await within(EARLY_STOP_TIMEOUT_MS, starting)) return await starting;
    throw new Error("It was told to stop and had not started yet");
  });
  early.catch(() => {});
  return await Promise.race([starting, early]);
}

/** Tells people where it is, or programs in the form of the log. */
async function tell(config: ServeConfig, server: RunningServer): Promise<void> {
  const { secret, jwksUrl, keys } = config;
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
    writeText(startText({ ...facts, ...(token === undefined ? {} : { token }) }));
  }
}

/**
 * Serves until a signal comes.
 *
 * @param config how
 * @returns the exit code, when everything is closed: 0, or 1 when stores could not be closed
 */
export async function serve(config: ServeConfig): Promise<number> {
  configureLog(config);
  const { secret, destinations, gateways } = config;
  const others = Object.values(gateways).map((gateway) => gateway.destinations);
  hideSecretsOf({ secret, destinations, others });
  for (const name of SECRET_VARIABLES) hideSecret(Deno.env.get(name));
  logCrashes();
  const stop = stopSignal();
  const server = await started(start(config), stop);
  await tell(config, server);
  logger.info("{signal}: stopping", { signal: await stop });
  const { isClosed } = await server.close();
  return isClosed ? 0 : 1;
}
