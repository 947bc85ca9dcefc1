/**
 * Throw-away Iceberg REST catalogs: Apache Iceberg's own, made for such tests, over a SQLite file.
 *
 * @module
 */

import type { LakeTools } from "../lake/tools.ts";
import type { S3Access } from "./s3.ts";
import { type Engine, Server } from "./server.ts";

/** How a catalog is started. */
export interface CatalogOptions {
  /** Where new tables are, such as `s3://bucket/lake`; a folder of the server's own unless given. */
  readonly warehouse?: string;
  /** How it reaches the bucket of its warehouse. */
  readonly s3?: S3Access;
}

/** A running catalog. */
export interface CatalogServer extends AsyncDisposable {
  /** Its address, without `/v1`. */
  readonly uri: string;
  /** Where new tables are. */
  readonly warehouse: string;
  /** Sends it a signal; see `DatabaseServer`. */
  kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** Starts it on the same data and port, after an orderly end when it still runs. */
  restart(): Promise<void>;
  /** What it has logged since it was made. */
  log(): Promise<string>;
}

const MAIN = "org.apache.iceberg.rest.RESTCatalogServer";

function environment(folder: string, warehouse: string, s3?: S3Access): Record<string, string> {
  const all: Record<string, string> = {
    CATALOG_WAREHOUSE: warehouse,
    CATALOG_URI: `jdbc:sqlite:${folder}/catalog`,
  };
  if (s3 === undefined) return all;
  return {
    ...all,
    CATALOG_IO__IMPL: "org.apache.iceberg.aws.s3.S3FileIO",
    CATALOG_S3_ENDPOINT: s3.endpoint,
    CATALOG_S3_PATH__STYLE__ACCESS: "true",
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
}

/**
 * Starts a catalog of its own.
 *
 * @param tools where its archives are
 * @param options how
 * @throws {Error} when it does not start
 */
export async function startRestCatalog(
  tools: LakeTools,
  options: CatalogOptions = {},
): Promise<CatalogServer> {
  const warehouseOf = (folder: string) => options.warehouse ?? `file://${folder}/lake`;
  const engine: Engine = {
    name: "catalog",
    user: undefined,
    ready: "Started oejs.Server@",
    stopSignal: "SIGTERM",
    quitSignal: "SIGKILL",
    prepare: (folder) => Deno.mkdir(`${folder}/lake`),
    command: (folder, port) => [
      "env",
      `CATALOG_REST_PORT=${port}`,
      ...Object.entries(environment(folder, warehouseOf(folder), options.s3))
        .map(([name, value]) => `${name}=${value}`),
      tools.java,
      "-Xmx256m",
      "-XX:+UseSerialGC",
      "-XX:TieredStopAtLevel=1",
      "-cp",
      `${tools.catalog}/*`,
      MAIN,
    ],
    url: (port) => `http://127.0.0.1:${port}`,
    createDatabase: () => Promise.reject(new Error("It has namespaces and no databases")),
  };
  const server = await Server.start(engine);
  return {
    uri: server.url,
    warehouse: warehouseOf(server.folder),
    kill: (signal) => server.kill(signal),
    restart: () => server.restart(),
    log: () => server.log(),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
