import assert from "node:assert/strict";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import { MAX_RECORD_VALUE_CHARS } from "../store/records.ts";
import type { AuditEvent, AuditQuery } from "./audit.ts";
import { AuditLog } from "./log.ts";

const START_MS = 1_800_000_000_000;
const KEEP_MS = 1_000_000;

/** A log with a clock of its own, over records that others may share. */
function logWith(records?: MemoryRecords, processId = "p1") {
  const clock = { nowMs: START_MS };
  const now = () => clock.nowMs;
  const kept = records ?? new MemoryRecords(now);
  const log = new AuditLog({ records: kept, keepMs: KEEP_MS, now, processId });
  return { clock, log, records: kept };
}

function done(details: AuditEvent["details"] = {}, more: Partial<AuditEvent> = {}): AuditEvent {
  return { what: "flush.force", outcome: "done", sub: "root", details, ...more };
}

async function numbers(log: AuditLog, query: Partial<AuditQuery> = {}) {
  const { entries } = await log.list({ limit: 1_000, ...query });
  return entries.map(({ details }) => details?.["n"]);
}

Deno.test("AuditLog gives entries back, the newest first, with all that was told", async () => {
  const { log, clock } = logWith();
  const event: AuditEvent = {
    what: "schema.put",
    outcome: "refused",
    sub: "root",
    role: "admin",
    ip: "192.0.2.1",
    requestId: "r1",
    gatewayId: "notes",
    code: "SCHEMA_CONFLICT",
    details: { version: 2 },
  };
  await log.write(event);
  clock.nowMs += 5;
  await log.write({ what: "server.stop", outcome: "done" });
  const { entries, cursor } = await log.list({ limit: 10 });
  assert.deepEqual(entries.map(({ id: _, ...others }) => others), [
    { what: "server.stop", outcome: "done", atMs: START_MS + 5 },
    { ...event, atMs: START_MS },
  ]);
  assert.equal(cursor, undefined);
});

Deno.test("AuditLog orders entries of one moment and of a clock that goes back", async () => {
  const { log, clock } = logWith();
  for (let n = 0; n < 5; n++) await log.write(done({ n }));
  clock.nowMs -= 1_000;
  for (let n = 5; n < 8; n++) await log.write(done({ n }));
  assert.deepEqual(await numbers(log), [7, 6, 5, 4, 3, 2, 1, 0]);
});

Deno.test("AuditLog keeps what several processes write at one moment", async () => {
  const records = new MemoryRecords(() => START_MS);
  const logs = ["p1", "p2", "p1"].map((processId) => logWith(records, processId).log);
  await Promise.all(logs.flatMap((log, i) => [0, 1, 2].map((n) => log.write(done({ n, i })))));
  const [first] = logs;
  assert(first);
  assert.equal((await first.list({ limit: 100 })).entries.length, 9);
});

Deno.test("AuditLog finds entries by time, gateway, user and action", async () => {
  const { log, clock } = logWith();
  for (let n = 0; n < 12; n++) {
    clock.nowMs = START_MS + n * 10;
    const what = n % 2 === 0 ? "flush.force" : "rules.put";
    await log.write(done({ n }, { what, sub: `u${n % 3}`, gatewayId: `g${n % 4}` }));
  }
  assert.deepEqual(await numbers(log, { sub: "u1" }), [10, 7, 4, 1]);
  assert.deepEqual(await numbers(log, { gatewayId: "g3" }), [11, 7, 3]);
  assert.deepEqual(await numbers(log, { what: "rules.put", sub: "u1" }), [7, 1]);
  const times = { fromMs: START_MS + 20, toMs: START_MS + 50 };
  assert.deepEqual(await numbers(log, times), [4, 3, 2]);
  assert.deepEqual(await numbers(log, { ...times, limit: 2 }), [4, 3]);
  assert.deepEqual(await numbers(log, { fromMs: START_MS + 50.5 }), [11, 10, 9, 8, 7, 6]);
});

Deno.test("AuditLog pages by cursor to the end, also over what does not match", async () => {
  const { log, clock } = logWith();
  for (let n = 0; n < 4_500; n++) {
    clock.nowMs++;
    await log.write(done({ n }, { sub: n === 7 || n === 4_400 ? "rare" : "root" }));
  }
  const found: unknown[] = [];
  const pages: number[] = [];
  let cursor: string | undefined;
  do {
    const page = await log.list({ limit: 50, sub: "rare", ...(cursor && { cursor }) });
    found.push(...page.entries.map(({ details }) => details?.["n"]));
    pages.push(page.entries.length);
    cursor = page.cursor;
  } while (cursor !== undefined);
  assert.deepEqual(found, [4_400, 7]);
  assert.deepEqual(pages, [1, 0, 1]);
  const all: unknown[] = [];
  do {
    const page = await log.list({ limit: 1_000, ...(cursor && { cursor }) });
    all.push(...page.entries.map(({ details }) => details?.["n"]));
    cursor = page.cursor;
  } while (cursor !== undefined);
  assert.deepEqual(all, Array.from({ length: 4_500 }, (_, i) => 4_499 - i));
});

Deno.test("AuditLog forgets entries after the time they are kept", async () => {
  const { log, clock } = logWith();
  await log.write(done({ n: 1 }));
  clock.nowMs += KEEP_MS - 1;
  await log.write(done({ n: 2 }));
  assert.deepEqual(await numbers(log), [2, 1]);
  clock.nowMs += 1;
  assert.deepEqual(await numbers(log), [2]);
});

Deno.test("AuditLog keeps any event within the bounds of a record", async () => {
  const { log, records } = logWith();
  const long = "\u0001\ud800".repeat(100_000);
  await log.write(done({ long }, { sub: long, role: long, ip: long, requestId: long }));
  const [record] = await records.list({ from: "", to: "\uffff", limit: 2 });
  assert(record && record.value.length < MAX_RECORD_VALUE_CHARS);
  const [entry] = (await log.list({ limit: 1 })).entries;
  assert.equal(entry?.sub?.slice(0, 500), long.slice(0, 500));
  assert.deepEqual(entry.details, { leftOut: "they were too long" });
});

Deno.test("AuditLog passes over records of later versions", async () => {
  const { log, records } = logWith();
  await log.write(done({ n: 1 }));
  await records.commit({
    set: [
      { key: "audit/001800000000001-00000-p2", value: '{"what":"later.act","outcome":"done"}' },
      { key: "audit/001800000000002-00000-p2", value: "[]" },
      { key: "audit/not-an-id", value: '{"what":"flush.force","outcome":"done"}' },
      { key: "audit0", value: '{"what":"flush.force","outcome":"done"}' },
      { key: "audi", value: '{"what":"flush.force","outcome":"done"}' },
    ],
  });
  assert.deepEqual(await numbers(log), [1]);
});

Deno.test("AuditLog tells equal refusals one by one at first, then by their number", async () => {
  const { log, clock } = logWith();
  const refused = (sub: string): AuditEvent => ({
    what: "flush.force",
    outcome: "refused",
    sub,
    code: "FORBIDDEN",
  });
  for (let n = 0; n < 500; n++) await log.write(refused("mallory"));
  await log.write(refused("bob"));
  await log.write({ ...refused("mallory"), what: "rules.put" });
  await log.write(done({ n: 1 }));
  const count = async (query: Partial<AuditQuery>) =>
    (await log.list({ limit: 1_000, ...query })).entries.length;
  assert.equal(await count({ sub: "mallory", what: "flush.force" }), 10);
  assert.equal(await count({}), 13);
  clock.nowMs += 60_000;
  await log.write(done({ n: 2 }));
  const [, summary] = (await log.list({ limit: 2 })).entries;
  assert.equal(summary?.sub, "mallory");
  assert.deepEqual(summary.details, { times: 490 });
  await log.write(refused("mallory"));
  assert.equal(await count({ sub: "mallory", what: "flush.force" }), 12);
  for (let n = 0; n < 12; n++) await log.write(refused("mallory"));
  await log.close();
  const [last] = (await log.list({ limit: 1 })).entries;
  assert.deepEqual(last?.details, { times: 3 });
});

Deno.test("G11: AuditLog holds a bounded number of entries of endless callers", async () => {
  const { log, clock } = logWith();
  for (let n = 0; n < 5_000; n++) {
    await log.write({ what: "admin.read", outcome: "refused", sub: `u${n}`, code: "FORBIDDEN" });
  }
  clock.nowMs += 60_000;
  await log.write(done());
  const subs = new Set<string | undefined>();
  let summary: AuditEvent["details"];
  let cursor: string | undefined;
  do {
    const page = await log.list({ limit: 1_000, ...(cursor && { cursor }) });
    for (const { sub, details } of page.entries) {
      subs.add(sub);
      summary = details?.["times"] === undefined ? summary : details;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  assert.deepEqual(summary, { times: 3_990, callers: "several" });
  assert.equal(subs.size, 1_000 + 10 + 2);
});
