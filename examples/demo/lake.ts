/**
 * Reads the tables that LakeSync keeps in a lake, by DuckDB.
 *
 * @module
 */

import { type ObjectStore, openFileObjects } from "@lakesync/adapters";
import { openLakeQuery } from "@lakesync/adapters/lake/query";
import { fileURLToPath } from "node:url";
import type { Database } from "./databases.ts";

/** Where the lake of an address is. */
interface Place {
  readonly location: string;
  readonly store: ObjectStore & { readonly close?: () => Promise<void> };
}

/** Whether an address is that of a lake. */
export function isLake(to: string): boolean {
  return to === "lake" || /^(file|s3):/.test(to);
}

async function bucketAt(to: string): Promise<Place> {
  const { openS3Objects } = await import("@lakesync/adapters/object-store/s3");
  const { hostname: bucket, pathname, searchParams } = new URL(to);
  const prefix = pathname.replaceAll(/^\/|\/$/g, "");
  const [endpoint, region] = ["endpoint", "region"].map((name) => searchParams.get(name));
  return {
    location: prefix === "" ? `s3://${bucket}` : `s3://${bucket}/${prefix}`,
    store: await openS3Objects({
      bucket,
      prefix,
      ...(endpoint ? { endpoint } : {}),
      ...(region ? { region } : {}),
    }),
  };
}

async function folderAt(folder: string): Promise<Place> {
  return { location: `file://${folder}`, store: await openFileObjects(folder) };
}

/**
 * Opens a lake.
 *
 * @param to `lake`, `file:///…` or `s3://…`
 * @param data the gateway's data folder, where `lake` is
 */
export async function openLake(to: string, data: string): Promise<Database> {
  const { location, store } = to.startsWith("s3:")
    ? await bucketAt(to)
    : await folderAt(to === "lake" ? `${data}/lake` : fileURLToPath(to));
  const lake = openLakeQuery({ store, location, namespace: "default" });
  return {
    async query(sql) {
      const { columns, rows } = await lake.query(sql);
      return rows.map((row) =>
        Object.fromEntries(columns.map(({ name }, i) => [name, row[i] ?? null]))
      );
    },
    async [Symbol.asyncDispose]() {
      await lake.close();
      await store.close?.();
    },
  };
}
