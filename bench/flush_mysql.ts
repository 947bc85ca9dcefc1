/**
 * A flush of 100,000 changes to a real MariaDB or MySQL, beside its floors: the same rows into the
 * same three tables by the driver's own bulk roads, without LakeSync. As in `flush.ts`, rounds
 * alternate and the ratio is taken round by round.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { DEFAULT_FLUSH } from "@lakesync/adapters/flush";
import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { type Connection, createConnection } from "mysql2/promise";
import { findMariadb, startMariadb } from "../tests/servers/mariadb.ts";
import { BATCH, CHANGES, type Dump, flushed, makeChanges, ROUNDS, tell } from "./flush.ts";
import { StallWatch } from "./stalls.ts";

/** Rows of one INSERT. */
const STEP = 1_000;

/** What a flush has left in the three tables. */
async function dumpOf(connection: Connection): Promise<Dump[]> {
  const dumps: Dump[] = [];
  for (
    const [table, order] of [
      ["lakesync_deltas", "seq, slice, n"],
      ["lakesync_state", "table_id, seq, row_id"],
      ["notes", "n"],
    ] as const
  ) {
    const [rows, fields] = await connection.query({
      sql: `SELECT * FROM ${table} ORDER BY ${order}`,
      rowsAsArray: true,
    });
    dumps.push({
      table,
      columns: fields.map(({ name }) => name),
      rows: rows as unknown as unknown[][],
    });
  }
  return dumps;
}

async function inBatches(
  connection: Connection,
  dumps: readonly Dump[],
  write: (table: string, columns: string, rows: Dump["rows"]) => Promise<unknown>,
): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < CHANGES; at += BATCH) {
    await connection.beginTransaction();
    for (const { table, columns, rows } of dumps) {
      const names = columns.map((name) => `\`${name}\``).join(", ");
      await write(table, names, rows.slice(at, at + BATCH));
    }
    await connection.query("UPDATE lakesync_position SET forgotten_seq = 0");
    await connection.commit();
  }
  return CHANGES / ((performance.now() - started) / 1000);
}

/** Rows per second of the driver's INSERT of many rows. */
async function inserted(connection: Connection, dumps: readonly Dump[]): Promise<number> {
  return await inBatches(connection, dumps, async (table, columns, rows) => {
    for (let i = 0; i < rows.length; i += STEP) {
      await connection.query(`INSERT INTO ${table} (${columns}) VALUES ?`, [
        rows.slice(i, i + STEP),
      ]);
    }
  });
}

/** Rows per second of LOAD DATA from a stream, which servers take only where they are told to. */
async function loaded(connection: Connection, dumps: readonly Dump[]): Promise<number> {
  return await inBatches(connection, dumps, (table, columns, rows) => {
    const chunks: Buffer[] = [];
    for (let i = 0; i < rows.length; i += 500) {
      chunks.push(Buffer.from(rows.slice(i, i + 500).map(loadLine).join(""), "latin1"));
    }
    return connection.query({
      sql: `LOAD DATA LOCAL INFILE 'rows' INTO TABLE ${table} CHARACTER SET binary (${columns})`,
      infileStreamFactory: () => Readable.from(chunks),
    });
  });
}

/** A line of bytes, one character each, so that texts can stand beside what is no text. */
function loadLine(row: readonly unknown[]): string {
  return row.map((value) => {
    if (value === null) return "\\N";
    const bytes = value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value));
    const text = bytes.toString("latin1");
    return text.replaceAll(/[\\\n\t\0]/g, (each) => each === "\0" ? "\\0" : `\\${each}`);
  }).join("\t") + "\n";
}

/** Runs the benchmark and prints its table. */
export async function benchFlushMysql(): Promise<void> {
  const found = await findMariadb();
  if ("missing" in found) {
    console.log(`\nFlush to MySQL: left out, ${found.missing}`);
    return;
  }
  console.log(
    `\nFlush of ${CHANGES} changes to MariaDB, ${DEFAULT_FLUSH.maxChanges} a batch, ` +
      `the driver's own ${BATCH}, five columns, ${ROUNDS} rounds`,
  );
  await using server = await startMariadb({
    settings: {
      "innodb-buffer-pool-size": "256M",
      "innodb-log-file-size": "512M",
      "local-infile": "ON",
    },
  });
  const ours: number[] = [];
  const stalls: number[] = [];
  const floors = { insert: [] as number[], load: [] as number[] };
  for (let round = 0; round <= ROUNDS; round++) {
    const url = await server.createDatabase();
    const changes = makeChanges(CHANGES);
    const adapter = mysqlAdapter({ url });
    const watch = new StallWatch();
    const rate = await flushed(adapter, changes);
    const stallMs = watch.end();
    await adapter.close();
    const connection = await createConnection({
      uri: url,
      dateStrings: true,
      supportBigNumbers: true,
      jsonStrings: true,
    });
    const dumps = await dumpOf(connection);
    const empty = async () => {
      for (const { table } of dumps) await connection.query(`TRUNCATE ${table}`);
    };
    await empty();
    const insert = await inserted(connection, dumps);
    await empty();
    const load = await loaded(connection, dumps);
    const [[count]] = await connection.query({
      sql: "SELECT COUNT(*) FROM notes JOIN lakesync_state ON row_id = id",
      rowsAsArray: true,
    }) as unknown as [[[number]]];
    if (count?.[0] !== CHANGES) throw new Error(`${count?.[0]} rows were loaded`);
    await connection.query(`DROP DATABASE \`${new URL(url).pathname.slice(1)}\``);
    await connection.end();
    if (round === 0) continue; // the first one warms up
    ours.push(rate);
    stalls.push(stallMs);
    floors.insert.push(insert);
    floors.load.push(load);
  }
  tell(ours, stalls, floors);
}

if (import.meta.main) await benchFlushMysql();
