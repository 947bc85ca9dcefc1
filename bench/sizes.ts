/**
 * What a destination takes: bytes on disk for each row and each change, and bytes in the database's
 * own log. 100,000 rows are inserted, and then one cell of each is changed.
 *
 * @module
 */

import type { Change, DatabaseAdapter } from "@lakesync/adapters";
import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import { numbered, TestLog, type Written } from "../tests/conformance/testing_log.ts";
import { findMariadb, startMariadb } from "../tests/servers/mariadb.ts";
import { findPostgres, startPostgres } from "../tests/servers/postgres.ts";
import type { ServerOptions } from "../tests/servers/server.ts";
import { openSession, query } from "../tests/servers/testing_sql.ts";
import { makeRows, SCHEMA } from "./support.ts";

const ROWS = 100_000;
const BATCH = 10_000;
/** Changes of one transaction, as apps make them. */
const PER_TRANSACTION = 100;
const COLUMNS = ["title", "body", "n", "x", "done"] as const;
const TABLES = ["notes", "lakesync_state", "lakesync_deltas"] as const;

/** Bytes by what takes them. */
type Sizes = Readonly<Record<(typeof TABLES)[number] | "log", number>>;

interface Product {
  readonly name: string;
  readonly start: (options: ServerOptions) => ReturnType<typeof startPostgres>;
  readonly options: ServerOptions;
  readonly open: (url: string) => DatabaseAdapter;
  readonly sizes: (url: string) => Promise<Sizes>;
}

const POSTGRES: Product = {
  name: "Postgres",
  start: startPostgres,
  options: { settings: { max_wal_size: "4GB" } },
  open: (url) => postgresAdapter({ url }),
  async sizes(url) {
    const [row = {}] = await query(
      url,
      `SELECT pg_total_relation_size('notes') AS notes, ` +
        `pg_total_relation_size('lakesync_state') AS lakesync_state, ` +
        `(SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits ` +
        `WHERE inhparent IN ('lakesync_deltas'::regclass)) AS lakesync_deltas, ` +
        `pg_current_wal_lsn() - '0/0' AS log`,
    );
    return sizesIn(row);
  },
};

const MARIADB: Product = {
  name: "MariaDB",
  start: startMariadb,
  options: { settings: { "log-bin": "binlog", "server-id": "1", "binlog-format": "ROW" } },
  open: (url) => mysqlAdapter({ url }),
  async sizes(url) {
    await using session = await openSession(url);
    const sizes: Record<string, unknown> = { log: 0 };
    for (const table of TABLES) {
      await session.query(`ANALYZE TABLE ${table}`);
      const [row] = await session.query(
        `SELECT DATA_LENGTH + INDEX_LENGTH AS size FROM information_schema.TABLES ` +
          `WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${table}'`,
      );
      sizes[table] = row?.size;
    }
    for (const file of await session.query("SHOW BINARY LOGS")) {
      sizes["log"] = Number(sizes["log"]) + Number(file.File_size);
    }
    return sizesIn(sizes);
  },
};

function sizesIn(row: Readonly<Record<string, unknown>>): Sizes {
  const [notes, state, deltas, log] = [...TABLES, "log"].map((name) => Number(row[name]));
  return {
    notes: notes ?? 0,
    lakesync_state: state ?? 0,
    lakesync_deltas: deltas ?? 0,
    log: log ?? 0,
  };
}

/** Flushes one change of each row, in transactions of some. */
async function flush(log: TestLog, written: readonly Written[]): Promise<void> {
  for (let at = 0; at < written.length; at += BATCH) {
    const batch: Change[] = [];
    for (let i = at; i < at + BATCH; i += PER_TRANSACTION) {
      batch.push(...log.commit(...written.slice(i, i + PER_TRANSACTION)));
    }
    await log.insert(batch);
  }
}

async function measure({ name, start, options, open, sizes }: Product): Promise<void> {
  await using server = await start(options);
  const url = await server.createDatabase();
  const adapter = open(url);
  try {
    const log = await new TestLog(adapter, numbered(SCHEMA)).begin();
    const steps: Sizes[] = [await sizes(url)];
    const rows = makeRows(ROWS);
    await flush(
      log,
      rows.map(({ id, values }) => ({
        op: "INSERT",
        table: "notes",
        rowId: id,
        replaces: true,
        cells: Object.fromEntries(COLUMNS.map((column, i) => [column, values[i] ?? null])),
      })),
    );
    steps.push(await sizes(url));
    await flush(log, rows.map(({ id }, n) => ({ table: "notes", rowId: id, cells: { n: n + 7 } })));
    steps.push(await sizes(url));
    for (const [i, what] of ["insert", "update"].entries()) {
      const each = Object.entries(steps[i + 1] ?? {}).map(([key, bytes]) =>
        `${key} ${Math.round((bytes - (steps[i]?.[key as keyof Sizes] ?? 0)) / ROWS)}`
      );
      console.log(`${name}: bytes for each ${what}: ${each.join(", ")}`);
    }
  } finally {
    await adapter.close();
  }
}

/** Measures both databases, where they are there. */
export async function benchSizes(): Promise<void> {
  const bytes = makeRows(1_000).map(({ id, values }) => JSON.stringify([id, ...values]).length);
  const mean = Math.round(bytes.reduce((sum, each) => sum + each, 0) / bytes.length);
  console.log(`\n## What a destination takes (a row of ${mean} bytes as JSON, 6 columns)`);
  for (const [product, found] of [[POSTGRES, findPostgres], [MARIADB, findMariadb]] as const) {
    const there = await found();
    if ("missing" in there) console.log(`skipped: ${there.missing}`);
    else await measure(product);
  }
}
