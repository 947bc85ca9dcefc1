import { type ErrorDetails, LakeSyncError, type Transaction } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { lastCommon } from "./parting.ts";

/** How many links the gateway has at hand, and how many in all. */
const RECENT = 8;
const KEPT = 40;

/** Two histories that have so many transactions in common. */
interface Parted {
  readonly common: number;
  readonly own: number;
  readonly theirs: number;
}

function linkOf(which: "own" | "theirs", common: number, mutationId: number): string {
  const name = mutationId <= common ? "both" : which;
  return `${name} ${mutationId}`.padEnd(64, ".");
}

/** What the gateway says of a repeated transaction that it does not have so. */
function forked({ common, theirs }: Parted, mutationId: number): ErrorDetails {
  const links = [];
  for (let told = Math.max(1, theirs - KEPT); told <= theirs; told++) {
    if (told <= theirs - RECENT && told !== mutationId) continue;
    links.push({ mutationId: told, hash: linkOf("theirs", common, told).slice(0, 16) });
  }
  return { lastMutationId: theirs, mutationId, links };
}

async function find(parted: Parted, pushed: number, settled: number) {
  const { common, own, theirs } = parted;
  let asked = 0;
  const found = await lastCommon(
    {
      replica: {
        chains: (from, through) => {
          const chains = new Map<number, string>();
          for (let m = Math.max(1, from); m <= Math.min(through, own); m++) {
            chains.set(m, linkOf("own", common, m));
          }
          return Promise.resolve(chains);
        },
      },
      repeat: ({ mutationId, deltas }: Transaction) => {
        asked++;
        assert.deepEqual(deltas, []);
        if (mutationId > theirs) {
          throw new LakeSyncError("MUTATION_GAP", "Too far", { lastMutationId: theirs });
        }
        if (mutationId <= common && mutationId >= theirs - KEPT) return Promise.resolve();
        throw new LakeSyncError("CLIENT_FORKED", "Another", forked(parted, mutationId));
      },
    },
    forked(parted, pushed),
    settled,
  );
  return { found, asked };
}

const histories = fc.record({
  common: fc.nat({ max: 100 }),
  own: fc.integer({ min: 1, max: 60 }),
  theirs: fc.integer({ min: 1, max: 60 }),
  pushed: fc.nat(),
  settled: fc.nat(),
}).map(({ common, own, theirs, pushed, settled }) => ({
  parted: { common, own: common + own, theirs: common + theirs },
  pushed: common + 1 + pushed % own,
  settled: settled % (common + own),
}));

Deno.test("G13: lastCommon finds where two histories have parted, as far as the gateway knows", async () => {
  await fc.assert(
    fc.asyncProperty(histories, async ({ parted, pushed, settled }) => {
      const { found, asked } = await find(parted, pushed, settled);
      const { common, theirs } = parted;
      const oldest = Math.max(1, theirs - KEPT);
      const isKnown = common >= oldest || oldest === 1;
      const accepted = Math.min(settled, oldest - 1, pushed - 1);
      assert.equal(found, isKnown ? common : accepted);
      assert.ok(asked <= 2 * Math.log2(pushed) + 1, `${asked} repetitions of ${pushed}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("G13: lastCommon takes the word of a gateway that tells no links", async () => {
  const nobody = { replica: { chains: () => assert.fail() }, repeat: () => assert.fail() };
  assert.equal(await lastCommon(nobody, { mutationId: 7 }, 3), 6);
  assert.equal(await lastCommon(nobody, {}, 3), 3);
});

Deno.test("lastCommon gives up where the gateway cannot be asked", async () => {
  const chains = () => Promise.resolve(new Map([[1, "x".repeat(64)], [2, "y".repeat(64)]]));
  const repeat = () => Promise.reject(new TypeError("No network"));
  const links = [{ mutationId: 9, hash: "0".repeat(16) }];
  await assert.rejects(
    lastCommon({ replica: { chains }, repeat }, { mutationId: 3, links }, 2),
    TypeError,
  );
});
