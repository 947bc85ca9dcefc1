/**
 * Throw-away MariaDB servers, or MySQL servers where only that is installed.
 *
 * @module
 */

import { createConnection } from "mysql2/promise";
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

const USER = "administrator";
const PASSWORD = crypto.randomUUID();
const PROGRAMS = ["mariadbd", "mysqld"];
const INSTALLERS = ["mariadb-install-db", "mysql_install_db"];
const HOMEBREW = ["/opt/homebrew/opt", "/usr/local/opt"];
const PLACES = ["/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/mysql/bin"];

/** Settings that MariaDB and MySQL both know. */
const SETTINGS: Readonly<Record<string, string>> = {
  "bind-address": "127.0.0.1",
  "skip-name-resolve": "ON",
  "innodb-buffer-pool-size": "32M",
  "performance-schema": "OFF",
  "max-connections": "50",
  "default-time-zone": "+00:00",
  "character-set-server": "utf8mb4",
};
const NOT_DURABLE: Readonly<Record<string, string>> = {
  "innodb-flush-log-at-trx-commit": "0",
  "innodb-doublewrite": "OFF",
};
const INSTALLER_FLAGS = ["--auth-root-authentication-method=normal", "--skip-test-db"];
const LOG_SIZE = "--innodb-log-file-size=32M";

/** What each start does: root of a new data folder has no password, and is let in by no port. */
const INIT_SQL = `
CREATE USER IF NOT EXISTS '${USER}'@'%' IDENTIFIED BY '${PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO '${USER}'@'%' WITH GRANT OPTION;
DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';
`;

const template = new Template();

interface Programs extends Found {
  /** The server. */
  readonly server: string;
  /** What makes a data folder; undefined for MySQL, whose server does it. */
  readonly installer: string | undefined;
}

async function programFolders(): Promise<string[]> {
  const only = Deno.env.get("LAKESYNC_TEST_MARIADB");
  if (only !== undefined) return [only];
  const brewed = await Promise.all(
    HOMEBREW.flatMap((folder) => [foldersIn(folder, "mariadb"), foldersIn(folder, "mysql")]),
  );
  return [...pathFolders(), ...PLACES, ...brewed.flat().map((folder) => `${folder}/bin`)];
}

async function findPrograms(): Promise<Programs | Missing> {
  const folders = await programFolders();
  const inFolders = (names: readonly string[]) =>
    firstFile(names.flatMap((name) => folders.map((folder) => `${folder}/${name}`)));
  const server = await inFolders(PROGRAMS);
  if (server === undefined) {
    return { missing: "MariaDB or MySQL is not installed; CONTRIBUTING.md says how" };
  }
  const version = await versionOf(server);
  const from = server.slice(0, server.lastIndexOf("/"));
  if (!/mariadb/i.test(version)) return { version, from, server, installer: undefined };
  const installer = await inFolders(INSTALLERS);
  if (installer === undefined) return { missing: `${server} is here, ${INSTALLERS[0]} is not` };
  return { version, from, server, installer };
}

/**
 * Looks for MariaDB or MySQL on this machine: in the folder that `LAKESYNC_TEST_MARIADB` names,
 * else where systems put it.
 */
export async function findMariadb(): Promise<Found | Missing> {
  const found = await findPrograms();
  return "missing" in found ? found : { version: found.version, from: found.from };
}

/**
 * Starts a MariaDB or MySQL of its own.
 *
 * @param options how
 * @throws {Error} when there is none on this machine, and when it does not start
 */
export async function startMariadb(options: ServerOptions = {}): Promise<DatabaseServer> {
  const found = await findPrograms();
  if ("missing" in found) throw new Error(found.missing);
  const user = await serverUser(["mysql", "nobody"]);
  const { durable = true, settings = {} } = options;
  const all = { ...SETTINGS, ...durable ? {} : NOT_DURABLE, ...settings };
  const engine: Engine = {
    name: "mariadb",
    user,
    ready: "ready for connections",
    stopSignal: "SIGTERM",
    quitSignal: "SIGKILL",
    prepare: (folder) => template.put(folder, user, (first) => makeData(found, first, user)),
    command: (folder, port) => [
      found.server,
      "--no-defaults",
      `--datadir=${folder}/data`,
      `--socket=${folder}/data/socket`,
      // One that starts removes what others have in the same folder.
      `--tmpdir=${folder}/data`,
      `--pid-file=${folder}/data/pid`,
      `--init-file=${folder}/data/init.sql`,
      `--port=${port}`,
      "--skip-log-bin",
      ...found.installer === undefined ? ["--mysqlx=OFF"] : [LOG_SIZE],
      ...Object.entries(all).map(([name, value]) => `--${name}=${value}`),
    ],
    url: (port, database = "mysql") => `mysql://${USER}:${PASSWORD}@127.0.0.1:${port}/${database}`,
    createDatabase,
  };
  return await Server.start(engine, options.choosePort);
}

async function makeData(
  { server, installer }: Programs,
  folder: string,
  user: Engine["user"],
): Promise<void> {
  const data = `--datadir=${folder}/data`;
  await runAs(
    user,
    folder,
    installer === undefined
      ? [server, "--no-defaults", "--initialize-insecure", data]
      : [installer, "--no-defaults", ...INSTALLER_FLAGS, data, LOG_SIZE],
  );
  const file = `${folder}/data/init.sql`;
  await Deno.writeTextFile(file, INIT_SQL, { mode: 0o600 });
  if (user) await Deno.chown(file, user.uid, user.gid);
}

async function createDatabase(url: string, name: string): Promise<void> {
  const connection = await createConnection(url);
  try {
    await connection.query("CREATE DATABASE ??", [name]);
  } finally {
    await connection.end();
  }
}
