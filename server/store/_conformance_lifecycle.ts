/**
 * Opening, closing and what is there afterwards.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  assertCode,
  bucket,
  client,
  goneAt,
  logEntry,
  newRow,
  next,
  openStore,
  scan,
} from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";
import { LOG_START } from "./store.ts";

/** Tests of opening and closing. */
export const lifecycleCases: readonly ConformanceCase[] = [
  {
    name: "opens a gateway that is not there only when it may make it",
    async run(subject) {
      const stores = await subject.open();
      assert.equal(await stores.open("notes", false), undefined);
      assert.deepEqual(await stores.list(), []);
      const store = await openStore(stores, "notes");
      assert.deepEqual(await store.head(), {
        epoch: (await store.head()).epoch,
        seq: 0,
        hlc: "0",
      });
      await store.close();
      assert(await stores.open("notes", false));
    },
  },
  {
    name: "lists gateways ascending and keeps them apart",
    async run(subject) {
      let stores = await subject.open();
      const gatewayIds = ["b", "A", "a", "B-", "0", "x_1", "X_1", "aA", "a-a"];
      for (const [index, gatewayId] of gatewayIds.entries()) {
        const store = await openStore(stores, gatewayId);
        await store.commit({ expectedSeq: 0, head: { seq: index, hlc: "1" } });
      }
      stores = await subject.reopen(stores);
      assert.deepEqual(await stores.list(), [...gatewayIds].sort());
      const epochs = new Set<string>();
      for (const [index, gatewayId] of gatewayIds.entries()) {
        const store = await stores.open(gatewayId, false);
        const head = await store?.head();
        assert.equal(head?.seq, index);
        epochs.add(head?.epoch ?? "");
      }
      assert.equal(epochs.size, gatewayIds.length);
    },
  },
  {
    name: "refuses to open a gateway twice until it is closed",
    async run(subject) {
      const stores = await subject.open();
      const store = await openStore(stores);
      await assertCode(stores.open("default", true), "INTERNAL_ERROR");
      await store.close();
      await store.close();
      assert(await stores.open("default", false));
    },
  },
  {
    name: "refuses every use after it was closed",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.close();
      await assertCode(store.head(), "INTERNAL_ERROR");
      await assertCode(store.commit(next(0)), "INTERNAL_ERROR");
      await assertCode(store.trimLog(1, 1), "INTERNAL_ERROR");
      await assertCode(store.beginLarge(), "INTERNAL_ERROR");
      await assertCode(scan(store), "INTERNAL_ERROR");
    },
  },
  {
    name: "has everything that was committed when it is opened again",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      const { epoch } = await store.head();
      await store.commit(next(0, {
        rows: [
          newRow("t1", 1),
          { ...newRow("t2", 1), add: [goneAt(1)] },
        ],
        log: [logEntry(1)],
        clients: [client("phone-1")],
        buckets: [bucket()],
        meta: [["schema", "{}"]],
        answers: [{ key: "k", bodyHash: "h", answer: "{}", expiresMs: 9 }],
      }));
      const part = {
        clientId: "phone-1",
        mutationId: 2,
        part: 1,
        parts: 2,
        deltas: 3,
        stagedMs: 5,
        payload: new Uint8Array([1, 2]),
      };
      await store.stagePart(part);

      stores = await subject.reopen(stores);
      store = await openStore(stores);
      assert.deepEqual(await store.head(), { epoch, seq: 1, hlc: "1000" });
      const page = await scan(store);
      assert.deepEqual(
        page.rows.map(({ rowId, data, gone }) => ({ rowId, data, gone })),
        [
          { rowId: "t1", data: '{"at":1}', gone: false },
          { rowId: "t2", data: '{"at":1}', gone: true },
        ],
      );
      assert.deepEqual(page.client, client("phone-1"));
      assert.deepEqual(page.bucket, bucket());
      assert.deepEqual(await store.readLog(LOG_START, 10), [logEntry(1)]);
      assert.equal(await store.readMeta("schema"), "{}");
      assert.equal((await store.readAnswer("k"))?.answer, "{}");
      assert.deepEqual(await store.readPart("phone-1", 2, 1), part);
      assert.deepEqual(await store.stats(), {
        logEntries: 1,
        logBytes: 10,
        clients: 1,
      });
      await store.commit(next(1));
      assert.equal((await store.head()).seq, 2);
    },
  },
  {
    name: "starts another epoch in another place",
    async run(subject) {
      const one = await openStore(await subject.open());
      const other = await openStore(await subject.open());
      assert.notEqual((await one.head()).epoch, (await other.head()).epoch);
      assert.match((await one.head()).epoch, /^[0-9a-f-]{36}$/);
    },
  },
];
