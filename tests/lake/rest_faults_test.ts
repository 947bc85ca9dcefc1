/**
 * A lake over a real REST catalog whose answers are lost, late and wrong: each change arrives once.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { DatabaseAdapter } from "@lakesync/adapters";
import { DestinationError } from "@lakesync/adapters";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import { openFileObjects } from "@lakesync/adapters/object-store/fs";
import { DelegateAdapter } from "../../adapters/delegate.ts";
import { type Fault, FaultyProxy } from "../servers/faulty_proxy.ts";
import { startRestCatalog } from "../servers/rest_catalog.ts";
import { hintsWritten, NAMESPACE, openLake, tend } from "./testing_lakes.ts";
import { chance, onlyChanges, Workload } from "./testing_workload.ts";
import { lakeTest, useReaders } from "./tests.ts";

const readers = useReaders(["pyiceberg"]);

const FAULTS: readonly Fault[] = [
  ...["pass", "pass", "lost", "answer lost", "answer cut", "answer spoiled", "twice"] as const,
  ...["held", { status: 503, body: "" }] as const,
];
/** So long an answer is waited for. */
const TIMEOUT_MS = 500;
const TRIES = 50;

/** Asks again after a failure, as a flusher does. */
class Persistent extends DelegateAdapter {
  failures = 0;

  constructor(inner: DatabaseAdapter) {
    super("persistent", inner);
  }

  override async insertDeltas(
    batch: Parameters<DatabaseAdapter["insertDeltas"]>[0],
  ): Promise<void> {
    for (let tries = 0;; tries++) {
      try {
        const from = await this.inner.position();
        if (from !== undefined && from.seq >= batch.to.seq && batch.changes.length > 0) return;
        return await this.inner.insertDeltas({ ...batch, from });
      } catch (error) {
        if (!(error instanceof DestinationError) || error.retry === "stop" || tries === TRIES) {
          throw error;
        }
        this.failures++;
      }
    }
  }
}

lakeTest(
  "G10: each change arrives once by a REST catalog whose answers are lost",
  {},
  async (tools) => {
    await using server = await startRestCatalog(tools);
    await using way = await FaultyProxy.open(server.uri);
    const root = server.warehouse;
    const location = lakeLocation(root);
    const store = await openFileObjects(root.slice("file://".length));
    const openCatalog = () => restCatalog({ uri: way.url, timeoutMs: TIMEOUT_MS });
    const options = { store, location, catalog: openCatalog, namespace: NAMESPACE, thread: false };
    const adapter = new Persistent(lakeAdapter(options));
    await using lake = openLake({
      ...{ store, location, openCatalog },
      question: () => {
        throw new Error("Nobody reads through a bad way");
      },
    });
    try {
      const workload = new Workload(adapter, 23);
      await workload.begin();
      const below = chance(5);
      way.fault = ({ method }) =>
        method === "POST" ? FAULTS[below(FAULTS.length)] ?? "pass" : "pass";
      for (let i = 0; i < 20; i++) {
        await workload.flush(2, 5);
        if (i % 4 === 0) await tend(lake, true).catch(() => {});
        await way.release();
      }
      way.fault = () => "pass";
      assert.ok(adapter.failures > 0);
      await tend(lake, true);
      await hintsWritten(store);
      const place = { kind: "rest", uri: server.uri, namespace: NAMESPACE } as const;
      const reader = readers.get("pyiceberg");
      const { rows, changes } = workload.expected;
      const seen = await reader.read({ table: { ...place, name: "todos__changes" } });
      assert.deepEqual(onlyChanges(seen), changes);
      assert.deepEqual((await reader.read({ table: { ...place, name: "todos" } })).rows, rows);
    } finally {
      await adapter.close();
    }
  },
);
