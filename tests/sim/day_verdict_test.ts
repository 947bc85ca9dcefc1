import assert from "node:assert/strict";
import { DayModel } from "./day_model.ts";
import type { DeviceSize, ServerSize } from "./day_measure.ts";
import type { HourEnd } from "./day_hour.ts";
import { judgeDay, trendOf } from "./day_verdict.ts";

const TEN = { count: 10, bytes: 1_000 };
const NONE = { count: 0, bytes: 0 };

const SERVER: ServerSize = {
  visible: TEN,
  tombstones: TEN,
  deleted: new Set(),
  orphans: NONE,
  entries: 20,
  deadEntries: 10,
  log: TEN,
  clients: TEN,
  refusals: 0,
  buckets: TEN,
  links: TEN,
  meta: TEN,
  others: 0,
  fileBytes: 7_000,
  heapBytes: 9_000,
};

const DEVICE: DeviceSize = {
  bytes: 8_192,
  freeBytes: 0,
  walBytes: 0,
  visible: 10,
  sidecars: { _lakesync_outbox: 5, _lakesync_tx: 5, _lakesync_scope: 10 },
};

type Change = (hour: number) => {
  readonly server?: Partial<ServerSize>;
  readonly device?: Partial<DeviceSize>;
  readonly hour?: Partial<HourEnd>;
};

/** What is found to be bad of ten hours that are all the same but for some change. */
function bad(change: Change = () => ({})): readonly string[] {
  const hours = Array.from({ length: 10 }, (_, i): HourEnd => {
    const { server, device, hour } = change(i + 1);
    return {
      hour: i + 1,
      restarted: false,
      transactions: 10 * (i + 1),
      refused: 0,
      deletions: 20,
      deletedKeys: 10,
      wrongTombstones: 0,
      heapBytes: 1e6,
      rssBytes: 1e8,
      agreedMs: 0,
      differs: undefined,
      realMs: 1,
      server: { ...SERVER, ...server },
      devices: [{ ...DEVICE, ...device }],
      ...hour,
    };
  });
  return judgeDay({ hours, errors: [] }).filter(({ holds }) => !holds).map(({ what }) => what);
}

Deno.test("trendOf finds growth along the line, and how far values lie from it", () => {
  const { mean, growth, noise } = trendOf([90, 100, 110]);
  assert.deepEqual([mean, growth, noise], [100, 0.2, 0]);
  assert.ok(Math.abs(trendOf([100, 110, 100]).growth) < 1e-9);
  assert.ok(trendOf([100, 110, 100]).noise > 0.04);
});

Deno.test("judgeDay finds nothing bad in hours that are the same", () => {
  assert.deepEqual(bad(), []);
});

Deno.test("judgeDay finds what grows with the hours", () => {
  const grown = (hour: number) => ({ count: 10, bytes: 1_000 + 50 * hour });
  assert.deepEqual(bad((hour) => ({ server: { log: grown(hour) } })), [
    "log bytes for each write of the hour",
  ]);
  assert.deepEqual(bad((hour) => ({ server: { meta: grown(hour) } })), ["other records"]);
  assert.deepEqual(bad((hour) => ({ hour: { heapBytes: 1e6 + 1e4 * hour } })), [
    "heap without the stored data",
  ]);
  assert.deepEqual(bad((hour) => ({ device: { bytes: 8_192 + 100 * hour } })), [
    "device bytes for each visible row",
  ]);
});

Deno.test("judgeDay finds what should be gone, and what should be there", () => {
  assert.deepEqual(bad(() => ({ server: { refusals: 1 } })), [
    "refusals, orphans, answers and parts go",
  ]);
  assert.deepEqual(bad((hour) => ({ hour: { wrongTombstones: hour === 7 ? 1 : 0 } })), [
    "tombstones are the keys that are deleted",
  ]);
  assert.deepEqual(bad((hour) => ({ hour: hour === 3 ? { differs: "x is there" } : {} })), [
    "all agree",
  ]);
  assert.deepEqual(bad(() => ({ device: { walBytes: 1e7 } })), ["logs of devices are short"]);
  assert.deepEqual(bad(() => ({ device: { sidecars: { _lakesync_base: 1 } } })), [
    "base and pages of devices are empty once they agree",
  ]);
});

Deno.test("DayModel says how what a device holds differs", () => {
  const model = new DayModel();
  model.addList("l");
  model.put("k", { list: "l", a: "1" });
  const k = { id: "k", list: "l", a: "1", b: null };
  const held = { rows: [k], sums: new Map([["l", 0]]), elements: new Map() };
  const lists = new Set(["l"]);
  assert.equal(model.differs(lists, held), undefined);
  assert.equal(model.differs(lists, { ...held, rows: [] }), "k is not there");
  assert.equal(
    model.differs(lists, { ...held, rows: [{ ...k, a: "0" }] }),
    "k has 0 in place of 1",
  );
  assert.equal(model.differs(lists, { ...held, rows: [k, { ...k, id: "m" }] }), "m is there");
  model.increment("l", 3);
  assert.equal(model.differs(lists, held), "l counts 0 in place of 3");
});
