import assert from "node:assert/strict";
import { chainOf, deltaIdOf, LakeSyncError, sha256Hex, type Transaction } from "@lakesync/core";
import fc from "fast-check";
import type { ClientRecord } from "../store/store.ts";
import { checkRepeatedChain, consume, newClient } from "./clients.ts";
import { type Links, readOlderLinks, RECENT_LINKS, takePages } from "./links.ts";
import { at, delta, openFixture, push } from "./testing_fixture.ts";

function linkOf(mutationId: number): Transaction {
  return { mutationId, deltas: [], chain: sha256Hex(`link ${mutationId}`) };
}

/** A client with so many transactions, consumed in pushes of some size, and its pages. */
function grown(transactions: number, perPush: number) {
  const meta = new Map<string, string>();
  let client: ClientRecord = newClient("c", "alice");
  let most = 0;
  for (let mutationId = 1; mutationId <= transactions; mutationId++) {
    client = consume(client, linkOf(mutationId), undefined);
    if (mutationId % perPush > 0 && mutationId < transactions) continue;
    const paged = takePages(client);
    client = paged.client;
    for (const [name, value] of paged.pages) meta.set(name, value ?? "");
    most = Math.max(most, client.chain.length);
  }
  const store = { readMeta: (name: string) => Promise.resolve(meta.get(name)) };
  return { client, store, pages: meta.size, most };
}

function isForked(client: ClientRecord, transaction: Transaction, older: Links) {
  try {
    checkRepeatedChain(client, transaction, older);
    return false;
  } catch (error) {
    assert.ok(error instanceof LakeSyncError && error.code === "CLIENT_FORKED");
    return true;
  }
}

Deno.test("G13: what a client repeats is known by its link, however its pushes were cut", async () => {
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 1_000 }),
    fc.integer({ min: 1, max: 300 }),
    fc.nat(),
    async (transactions, perPush, which) => {
      const { client, store, most } = grown(transactions, perPush);
      assert.ok(most < RECENT_LINKS + 16, "links in the client's own record");
      assert.equal(client.chain.at(-1)?.mutationId, transactions);
      const again = linkOf(1 + which % transactions);
      const older = await readOlderLinks(store, client, [again]);
      assert.equal(isForked(client, again, older), false);
      const other = { ...again, chain: sha256Hex("another") };
      assert.equal(isForked(client, other, older), true);
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

Deno.test("G11: the links of a client that pushes for ever stay few, the newest 2,000 at least", async () => {
  const { client, store, pages } = grown(6_000, 50);
  assert.equal(pages, 128);
  for (const [mutationId, known] of [[6_000 - 2_000, true], [3_000, false]] as const) {
    const older = await readOlderLinks(store, client, [linkOf(mutationId)]);
    assert.equal(older.has(mutationId), known);
    assert.equal(isForked(client, linkOf(mutationId), older), !known);
  }
});

Deno.test("G2: a repetition from far back is answered as before, and another device's is found", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const all: Transaction[] = [];
  let chain = "";
  for (let mutationId = 1; mutationId <= 300; mutationId++) {
    const insert = delta("INSERT", `t${mutationId}`, at(mutationId), { title: "x" });
    chain = chainOf(chain, [deltaIdOf("c", insert, at(mutationId))]);
    all.push({ mutationId, deltas: [insert], chain });
  }
  for (let i = 0; i < all.length; i += 60) await push(gateway, "c", all.slice(i, i + 60));
  assert.equal((await push(gateway, "c", all.slice(9, 73))).lastMutationId, 300);
  const fork = all.map((transaction) =>
    transaction.mutationId < 20 ? transaction : { ...transaction, chain: sha256Hex("other") }
  );
  await assert.rejects(push(gateway, "c", fork.slice(9, 73)), (error) => {
    assert.ok(error instanceof LakeSyncError);
    assert.deepEqual([error.code, error.details.mutationId], ["CLIENT_FORKED", 20]);
    return true;
  });
});

Deno.test("G6: a device that was put back is told of refusals that it had seen, however old", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const all: Transaction[] = [];
  let chain = "";
  for (let mutationId = 1; mutationId <= 200; mutationId++) {
    const table = mutationId % 50 === 3 ? "nothing" : "todos";
    const insert = delta("INSERT", `t${mutationId}`, at(mutationId), {}, table);
    chain = chainOf(chain, [deltaIdOf("c", insert, at(mutationId))]);
    all.push({ mutationId, deltas: [insert], chain });
  }
  let refusalsSeen = 0;
  for (let i = 0; i < all.length; i += 50) {
    const { rejected } = await push(gateway, "c", all.slice(i, i + 50), { refusalsSeen });
    assert.deepEqual(rejected.map(({ mutationId }) => mutationId), [i + 3]);
    refusalsSeen = i + 3;
  }
  const again = async (refusalsSeen: number, transactions = all) => {
    const { rejected } = await push(gateway, "c", transactions, { refusalsSeen });
    return rejected.map(({ mutationId, code }) => `${mutationId} ${code}`);
  };
  const told = [3, 53, 103, 153].map((mutationId) => `${mutationId} SCHEMA_ERROR`);
  assert.deepEqual(await again(0), told);
  // It may have seen a later refusal than one that came when a gateway was put back.
  assert.deepEqual(await again(153), told);
  const known = all.map((transaction): Transaction => {
    const { mutationId } = transaction;
    if (mutationId % 50 !== 3) return transaction;
    const previous = all[mutationId - 2]?.chain ?? "";
    const refused = { previous, code: "SCHEMA_ERROR", message: "", delta: 0 } as const;
    return { ...transaction, deltas: [], refused };
  });
  assert.deepEqual(await again(153, known), []);
  assert.deepEqual(await again(3, known), told.slice(1));
});
