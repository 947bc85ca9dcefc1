/**
 * What a killed client writes, and what must be there in the end. Runs in the client's process
 * under any runtime, and in the test.
 *
 * A device writes transactions 1, 2, 3 …; its own counter says how many there are. Each touches
 * several tables, so that a transaction that is there in part shows.
 *
 * @module
 */

import type { Client } from "@lakesync/client";

/** Two tables that must always hold the same, one of large transactions, and counters. */
export const SCHEMA = {
  version: 1,
  tables: {
    entries: {
      primaryKey: ["id"],
      columns: { id: "string", device: "string", n: "integer", touched: "integer" },
    },
    halves: {
      primaryKey: ["id"],
      columns: { id: "string", device: "string", n: "integer", touched: "integer" },
    },
    bulk: {
      primaryKey: ["id"],
      columns: { id: "string", device: "string", n: "integer" },
    },
    tallies: {
      primaryKey: ["id"],
      columns: { id: "string", votes: { type: "integer", merge: "counter" } },
    },
  },
} as const;

/** A client of {@linkcode SCHEMA}. */
export type DeviceClient = Client<typeof SCHEMA>;

/** The counter that all devices count in. */
export const SHARED = "shared";

/** Each of so many transactions also deletes a pair of rows. */
const DELETE_EVERY = 5;

/** How many transactions back the deleted pair was inserted. */
const DELETE_BACK = 3;

/** The transactions that insert many rows in `bulk`. */
const BULK_AT: readonly number[] = [40, 140];

/** How many rows those are: more than one push holds, so that they are sent in parts. */
const BULK_ROWS = 5_200;

const INSERT_BULK = `
INSERT INTO bulk
WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ${BULK_ROWS})
SELECT ?1 || '.' || ?2 || '.' || i, ?1, ?2 FROM numbers`;

const PAIR = ["entries", "halves"] as const;

/**
 * Writes a device's transaction.
 *
 * @param client the device's client
 * @param device its name
 * @param n the transaction's number, from 1
 */
export async function writeOne(client: DeviceClient, device: string, n: number): Promise<void> {
  await client.transaction(async (tx) => {
    for (const table of PAIR) {
      await tx.exec(`INSERT INTO ${table} VALUES (?, ?, ?, 0)`, [`${device}.${n}`, device, n]);
      await tx.exec(`UPDATE ${table} SET touched = ? WHERE id = ?`, [n, `${device}.${n - 1}`]);
      if (n % DELETE_EVERY === 0) {
        await tx.exec(`DELETE FROM ${table} WHERE id = ?`, [`${device}.${n - DELETE_BACK}`]);
      }
    }
    if (BULK_AT.includes(n)) await tx.exec(INSERT_BULK, [device, n]);
    for (const id of [SHARED, device]) {
      await tx.exec(
        `INSERT INTO tallies VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET votes = votes + 1`,
        [id],
      );
    }
  });
}

/**
 * The rows of `entries`, and of `halves`, that devices leave.
 *
 * @param counts how many transactions each device wrote
 * @returns `[id, device, n, touched]`, in the order of {@linkcode readPair}
 */
export function expectedPair(counts: ReadonlyMap<string, number>): unknown[][] {
  const rows: unknown[][] = [];
  for (const device of [...counts.keys()].sort()) {
    const count = counts.get(device) ?? 0;
    for (let n = 1; n <= count; n++) {
      if ((n + DELETE_BACK) % DELETE_EVERY === 0 && n + DELETE_BACK <= count) continue;
      rows.push([`${device}.${n}`, device, n, n < count ? n + 1 : 0]);
    }
  }
  return rows;
}

/** The rows of one table of the pair, by device and number. */
export async function readPair(
  client: DeviceClient,
  table: (typeof PAIR)[number],
): Promise<unknown[][]> {
  const rows = await client.query(`SELECT id, device, n, touched FROM ${table} ORDER BY device, n`);
  return rows.map((row) => Object.values(row));
}

/**
 * Whether anything is there of which a part is missing.
 *
 * @param client any client
 */
export async function isTorn(client: DeviceClient): Promise<boolean> {
  const [row] = await client.query(`
    SELECT EXISTS (SELECT * FROM entries EXCEPT SELECT * FROM halves)
        OR EXISTS (SELECT * FROM halves EXCEPT SELECT * FROM entries)
        OR EXISTS (SELECT 1 FROM bulk GROUP BY device, n HAVING count(*) <> ${BULK_ROWS}) AS torn`);
  return row?.["torn"] !== 0;
}

/** `[device, n, rows]` of what is in `bulk`, by device. */
export async function readBulk(client: DeviceClient): Promise<unknown[][]> {
  const rows = await client.query(
    "SELECT device, n, count(*) FROM bulk GROUP BY device, n ORDER BY device, n",
  );
  return rows.map((row) => Object.values(row));
}

/** What {@linkcode readBulk} gives in the end. */
export function expectedBulk(counts: ReadonlyMap<string, number>): unknown[][] {
  return [...counts].sort().flatMap(([device, count]) =>
    BULK_AT.filter((n) => n <= count).map((n) => [device, n, BULK_ROWS])
  );
}

/** A counter; 0 where there is none. */
export async function readTally(client: DeviceClient, id: string): Promise<number> {
  const [row] = await client.query("SELECT votes FROM tallies WHERE id = ?", [id]);
  return Number(row?.["votes"] ?? 0);
}

/** Everything a client shows, as one text. */
export async function readAll(client: DeviceClient): Promise<string> {
  const tallies = await client.query("SELECT id, votes FROM tallies ORDER BY id");
  const pair = await Promise.all(PAIR.map((table) => readPair(client, table)));
  const bulk = await readBulk(client);
  return JSON.stringify([...pair, bulk, tallies.map((row) => Object.values(row))]);
}
