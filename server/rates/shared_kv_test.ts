import assert from "node:assert/strict";
import { KvRecords } from "../store/_kv_server_records.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { Rates } from "./rates.ts";
import type { RateVerdict } from "./verdict.ts";

const LIMITS = { rateUserPerSecond: 100, rateUserBurst: 30, rateIpPerSecond: 0, rateIpBurst: 1 };
const PROCESSES = 3;
/** Requests that each of them has under way at once. */
const PARALLEL = 8;
const TEST_MS = 700;

Deno.test("G11: processes over one KV database admit together what one user may send", async () => {
  await using folder = await tempFolder();
  const databases = await Promise.all(
    Array.from({ length: PROCESSES }, () => Deno.openKv(`${folder.path}/rates.kv`)),
  );
  try {
    const processes = databases.map((kv) =>
      new Rates({ limits: LIMITS, records: new KvRecords(kv, { shared: true }) })
    );
    const startMs = Date.now();
    let [admitted, refused] = [0, 0];
    const caller = async (rates: Rates) => {
      while (Date.now() < startMs + TEST_MS) {
        const verdict: RateVerdict | undefined = await rates.ofUser("alice");
        assert.ok(verdict !== undefined);
        const most = LIMITS.rateUserBurst +
          LIMITS.rateUserPerSecond * (Date.now() - startMs + 1) / 1000;
        if (verdict.admitted) assert.ok(++admitted <= most, `${admitted} of ${most}`);
        else {
          refused++;
          // A turn of the event loop, as between requests.
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      }
    };
    await Promise.all(
      processes.flatMap((rates) => Array.from({ length: PARALLEL }, () => caller(rates))),
    );
    const there = LIMITS.rateUserBurst + LIMITS.rateUserPerSecond * TEST_MS / 1000;
    assert.ok(refused > 0);
    assert.ok(admitted >= there * 0.9, `${admitted} of ${there}`);
  } finally {
    for (const kv of databases) kv.close();
  }
});
