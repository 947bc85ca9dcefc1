/**
 * Throw-away Postgres servers.
 *
 * @module
 */

import postgres from "postgres";
import {
  firstFile,
  foldersIn,
  type Found,
  type Missing,
  pathFolders,
  serverUser,
  versionOf,
} from "./find.ts";
import { type DatabaseServer, type Engine, runAs, Server, type ServerOptions } from "./server.ts";
import { Template } from "./template.ts";

const USER = "postgres";
const PASSWORD = crypto.randomUUID();
const HOMEBREW = ["/opt/homebrew/opt", "/usr/local/opt"];
/** The line of `postmaster.pid` with the key and the id of the shared memory. */
const MEMORY_LINE = 6;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // Else a killed server leaves a file in the shared memory of the machine.
  dynamic_shared_memory_type: "mmap",
  shared_buffers: "32MB",
  max_connections: "50",
  max_logical_replication_workers: "0",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
};
/** Else the first recovery waits for each file of a new data folder by itself, for seconds. */
const SYNC_AT_ONCE: Readonly<Record<string, string>> = { recovery_init_sync_method: "syncfs" };
const SYNC_AT_ONCE_SINCE = 14;
const NOT_DURABLE: Readonly<Record<string, string>> = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
};

/** Where `fetch_postgres.ts` puts Postgres. */
export const FETCHED_POSTGRES: string = decodeURIComponent(
  new URL("fetched_postgres", import.meta.url).pathname,
);

const template = new Template();

async function programFolders(): Promise<string[]> {
  const only = Deno.env.get("LAKESYNC_TEST_POSTGRES");
  if (only !== undefined) return [only];
  const places = ["/usr/lib/postgresql", ...HOMEBREW];
  const prefixes = ["", ...HOMEBREW.map(() => "postgresql")];
  const versions = await Promise.all(places.map((place, n) => foldersIn(place, prefixes[n])));
  const installed = [...versions.flat(), FETCHED_POSTGRES].map((folder) => `${folder}/bin`);
  return [...pathFolders(), ...installed];
}

/**
 * Looks for Postgres on this machine: in the folder that `LAKESYNC_TEST_POSTGRES` names, else where
 * systems put it.
 */
export async function findPostgres(): Promise<Found | Missing> {
  const folders = await programFolders();
  const program = await firstFile(folders.map((folder) => `${folder}/postgres`));
  if (program === undefined) {
    return { missing: "Postgres is not installed; CONTRIBUTING.md says how" };
  }
  const from = program.slice(0, program.lastIndexOf("/"));
  if (await firstFile([`${from}/initdb`]) === undefined) {
    return { missing: `Postgres in ${from} has no initdb` };
  }
  return { version: await versionOf(program), from };
}

/**
 * Starts a Postgres of its own.
 *
 * @param options how
 * @throws {Error} when there is none on this machine, and when it does not start
 */
export async function startPostgres(options: ServerOptions = {}): Promise<DatabaseServer> {
  const found = await findPostgres();
  if ("missing" in found) throw new Error(found.missing);
  const user = await serverUser([USER, "nobody"]);
  const { durable = true, settings = {} } = options;
  const all = {
    ...SETTINGS,
    ...canSyncAtOnce(found.version) ? SYNC_AT_ONCE : {},
    ...durable ? {} : NOT_DURABLE,
    ...settings,
  };
  const engine: Engine = {
    name: "postgres",
    user,
    ready: "ready to accept connections",
    stopSignal: "SIGINT",
    quitSignal: "SIGQUIT",
    prepare: (folder) => template.put(folder, user, (first) => makeData(found.from, first, user)),
    command: (folder, port) => [
      `${found.from}/postgres`,
      ...["-D", `${folder}/data`, "-p", String(port)],
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    clear: removeMemory,
    url: (port, database = "postgres") =>
      `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/${database}`,
    createDatabase,
  };
  return await Server.start(engine, options.choosePort);
}

function canSyncAtOnce(version: string): boolean {
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(version)?.[1]);
  return Deno.build.os === "linux" && major >= SYNC_AT_ONCE_SINCE;
}

async function makeData(from: string, folder: string, user: Engine["user"]): Promise<void> {
  const secret = `${folder}/password`;
  await Deno.writeTextFile(secret, PASSWORD, { mode: 0o600 });
  if (user) await Deno.chown(secret, user.uid, user.gid);
  await runAs(user, folder, [
    `${from}/initdb`,
    ...["-D", `${folder}/data`, "-U", USER, `--pwfile=${secret}`, "--auth=scram-sha-256"],
    ...["--locale=C", "--encoding=UTF8", "--no-sync"],
  ], { env: { LC_ALL: "C", TZ: "UTC" } });
  await Deno.remove(secret);
}

/** A killed server leaves a piece of System V shared memory, and a machine has few of them. */
async function removeMemory(folder: string): Promise<void> {
  let lines: string[];
  try {
    lines = (await Deno.readTextFile(`${folder}/data/postmaster.pid`)).split("\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const id = lines[MEMORY_LINE]?.trim().split(/\s+/)[1];
  if (id !== undefined) await new Deno.Command("ipcrm", { args: ["-m", id] }).output();
}

async function createDatabase(url: string, name: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql`CREATE DATABASE ${sql(name)}`;
  } finally {
    await sql.end();
  }
}
