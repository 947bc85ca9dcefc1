import {
  chainedIdOf,
  chainOf,
  type Delta,
  forkedClientId,
  makeHlc,
  type Op,
  type RulesSpec,
  sha256Hex,
  type Transaction,
  type Value,
} from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import type { MemoryContent } from "../store/_memory_change.ts";
import type { ClientRecord, LogEntry, Store } from "../store/store.ts";
import { BackedUpStores, type Backup } from "../store/testing_backups.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Caller, Gateway, Gateways } from "./gateway.ts";
import { readLogPayload } from "./log.ts";
import { beginEpoch } from "./new_epoch.ts";
import { openGateways } from "./open.ts";
import { isMember, readRecord } from "./record.ts";
import { type Moment, replayLog } from "./replay_log.ts";
import type { ReplaySource } from "./replay_clients.ts";
import { START_MS } from "./testing_fixture.ts";

const TODOS = {
  id: "string",
  title: "string",
  list_id: "string",
  owner: "string",
  votes: { type: "integer", merge: "counter" },
  tags: { type: "json", merge: "set" },
  top: { type: "integer", merge: "max" },
} as const;
const OTHERS = {
  members: {
    primaryKey: ["id"],
    columns: { id: "string", list_id: "string", user_id: "string" },
  },
  events: { primaryKey: ["id"], columns: { id: "string", what: "string" } },
} as const;

/** Each version adds to the one before it, and the last one renames. */
const SCHEMAS: readonly object[] = [
  { version: 1, tables: { todos: { primaryKey: ["id"], columns: TODOS }, ...OTHERS } },
  {
    version: 2,
    tables: { todos: { primaryKey: ["id"], columns: { ...TODOS, due: "date" } }, ...OTHERS },
  },
  {
    version: 3,
    tables: {
      todos: { primaryKey: ["id"], columns: { ...TODOS, due: "date" } },
      ...OTHERS,
      notes: { primaryKey: ["id"], columns: { id: "string", title: "string" } },
    },
  },
];

const BY_LIST: RulesSpec["buckets"][number] = {
  name: "by_list",
  parameters: {
    list: {
      from: "members",
      column: "list_id",
      filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
    },
  },
  tables: [{ table: "todos", key: "list_id" }],
};
const MINE: RulesSpec["buckets"][number] = {
  name: "mine",
  tables: ["todos"],
  filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
};
const ALL: RulesSpec["buckets"][number] = { name: "all", tables: ["members"] };
const ANYTHING = ["INSERT", "UPDATE", "DELETE"] as const;
const RULES: readonly RulesSpec[] = [
  { buckets: [BY_LIST, ALL], write: [{ tables: ["*"], ops: ANYTHING }] },
  {
    buckets: [MINE, ALL],
    write: [
      { tables: ["members", "events"], ops: ANYTHING },
      {
        tables: ["todos"],
        ops: ANYTHING,
        filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
      },
    ],
    exempt: ["admin"],
    tables: { events: { mode: "upload-only" } },
  },
  { buckets: [BY_LIST, MINE], write: [{ tables: ["todos", "members"], ops: ANYTHING }] },
];

interface Writer {
  readonly clientId: string;
  readonly caller: Caller;
  readonly chains: boolean;
}

const WRITERS: readonly Writer[] = [
  { clientId: "ann-1", caller: caller("ann"), chains: true },
  { clientId: "bob-1", caller: caller("bob"), chains: true },
  { clientId: "root-1", caller: caller("root", true), chains: false },
];

function caller(sub: string, admin = false): Caller {
  return { sub, admin, claims: { sub, role: admin ? "admin" : "client" } };
}

interface Write {
  readonly op: Op;
  readonly table: string;
  readonly row: number;
  readonly columns: Readonly<Record<string, Value>>;
  /** How long ago it was stamped. */
  readonly agoMs: number;
}

type Step =
  | { readonly kind: "push"; readonly writer: number; readonly transactions: readonly Write[][] }
  | { readonly kind: "schema" | "restart" | "epoch" | "note" }
  | { readonly kind: "tables"; readonly deny: readonly string[] }
  | { readonly kind: "rules"; readonly which: number };

const text = fc.constantFrom("a", "b", "c");
const user = fc.constantFrom("ann", "bob", "root");
const todo = fc.record({
  title: text,
  list_id: fc.constantFrom("l1", "l2"),
  owner: user,
  votes: fc.integer({ min: -3, max: 3 }).map((add): Value => ({ add })),
  tags: fc.record({ add: fc.array(text, { maxLength: 2 }) }).map((tags): Value => tags),
  top: fc.nat(9),
}, { requiredKeys: [], noNullPrototype: true });
const member = fc.record({ list_id: fc.constantFrom("l1", "l2"), user_id: user }, {
  requiredKeys: [],
  noNullPrototype: true,
});
const event = fc.record({ what: text }, { noNullPrototype: true });
const bad = fc.constant({ nothing: "x" });

function writes(
  table: string,
  columns: fc.Arbitrary<Readonly<Record<string, Value>>>,
): fc.Arbitrary<Write> {
  return fc.record({
    op: fc.constantFrom<Op>("INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE"),
    table: fc.constant(table),
    row: fc.nat(4),
    columns,
    agoMs: fc.oneof(fc.constant(0), fc.nat(3_000)),
  });
}

const write = fc.oneof(
  { weight: 8, arbitrary: writes("todos", todo) },
  { weight: 3, arbitrary: writes("members", member) },
  { weight: 1, arbitrary: writes("events", event) },
  { weight: 1, arbitrary: writes("todos", bad) },
);
const transactions = fc.array(fc.array(write, { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 3,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant("push" as const),
      writer: fc.nat(WRITERS.length - 1),
      transactions,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("note" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("schema" as const, "restart" as const, "epoch" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rules" as const), which: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("tables" as const),
      deny: fc.subarray(["todos", "members", "events"]),
    }),
  },
);

function environment(
  clock: { ms: number; readonly turnMs?: number },
  deny: () => readonly string[] = () => [],
): GatewayEnvironment {
  return {
    tablesOf: () => ({ deny: deny() }),
    now: () => clock.ms,
    nextTurn: () => {
      clock.ms += clock.turnMs ?? 0;
      return Promise.resolve();
    },
    setTimer: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    randomId: () => crypto.randomUUID(),
    hash: sha256Hex,
    openAccess: true,
  };
}

/** What the gateway was at a moment. */
interface Noted {
  readonly ms: number;
  readonly seq: number;
  readonly data: Backup;
}

/** A gateway with a random history. */
class World implements AsyncDisposable {
  readonly stores = new BackedUpStores();
  readonly clock = { ms: START_MS, turnMs: 0 };
  readonly noted: Noted[] = [];
  readonly #sent = new Map<string, { mutationId: number; chain: string }>();
  #denied: readonly string[] = [];
  #gateways: Gateways = this.#opened();
  #version = 0;
  #gateway: Gateway | undefined;

  #opened(): Gateways {
    return openGateways(this.stores.open(), environment(this.clock, () => this.#denied));
  }

  async #open(): Promise<Gateway> {
    return this.#gateway ??= await this.#gateways.create("g");
  }

  async take(step: Step): Promise<void> {
    this.clock.ms += 1_000;
    const gateway = await this.#open();
    switch (step.kind) {
      case "schema": {
        const schema = SCHEMAS[this.#version];
        if (schema === undefined) return;
        this.#version++;
        return void await gateway.putSchema(schema);
      }
      case "rules":
        return void await gateway.putRules(RULES[step.which], 5_000);
      case "restart":
      case "epoch":
        await this.#gateways.close();
        if (step.kind === "epoch") await this.#beginEpoch();
        this.#gateways = this.#opened();
        this.#gateway = undefined;
        return;
      case "tables":
        this.#denied = step.deny;
        return void await gateway.refreshTables(5_000);
      case "note":
        return await this.note();
      case "push":
        return await this.push(WRITERS[step.writer] ?? WRITERS[0], step.transactions);
    }
  }

  /** A restore of a backup of this very moment. */
  async #beginEpoch(): Promise<void> {
    const store = await this.stores.open().open("g", false);
    if (store !== undefined) await beginEpoch(store, crypto.randomUUID());
  }

  async note(): Promise<void> {
    const { seq } = await (await this.#open()).stats();
    this.noted.push({ ms: this.clock.ms, seq, data: this.stores.backup() });
  }

  async push(writer: Writer | undefined, transactions: readonly Write[][]): Promise<void> {
    if (writer === undefined) return;
    const { clientId, caller, chains } = writer;
    const sent = this.#sent.get(clientId) ?? { mutationId: 0, chain: "" };
    const request = transactions.map((writes, at): Transaction => {
      const deltas = writes.map((write, i) => this.#delta(write, at * 10 + i));
      const mutationId = ++sent.mutationId;
      if (!chains) return { mutationId, deltas };
      const ids = deltas.map((delta) => chainedIdOf(clientId, delta, sha256Hex) ?? "");
      sent.chain = chainOf(sent.chain, ids, sha256Hex);
      return { mutationId, deltas, chain: sent.chain };
    });
    this.#sent.set(clientId, sent);
    const gateway = await this.#open();
    const { result } = await gateway.push(caller, {
      clientId,
      schemaVersion: gateway.schema?.version ?? 1,
      transactions: request,
    });
    assert.equal(result?.stopped, undefined);
    assert.equal(result?.lastMutationId, sent.mutationId);
  }

  /** A copy of a client's database goes on under a name of its own. */
  async fork(clientId: string): Promise<void> {
    this.clock.ms += 1_000;
    const { mutationId, chain } = this.#sent.get(clientId) ?? { mutationId: 0, chain: "" };
    const next = "f".repeat(64);
    const name = forkedClientId(clientId, next, sha256Hex);
    const write: Write = { op: "INSERT", table: "todos", row: 9, columns: {}, agoMs: 0 };
    const deltas = [this.#delta(write, 0)];
    const ids = deltas.map((delta) => chainedIdOf(name, delta, sha256Hex) ?? "");
    await (await this.#open()).push(caller("ann"), {
      clientId: name,
      schemaVersion: this.#version,
      transactions: [{ mutationId: 1, deltas, chain: chainOf("", ids, sha256Hex) }],
      origin: { clientId, mutationId, chain, next },
    });
  }

  #delta({ op, table, row, columns, agoMs }: Write, counter: number): Delta {
    const written = op === "DELETE" ? {} : columns;
    const names = Object.keys(written);
    return {
      shape: { op, table, columns: names },
      rowId: `${table}-${row}`,
      hlc: makeHlc(this.clock.ms - agoMs, counter),
      values: op === "INSERT" ? Object.values(written).map(inserted) : Object.values(written),
      deltaId: undefined,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateways.close();
  }
}

/** An INSERT carries what a counter or a set begins with. */
function inserted(value: Value): Value {
  return typeof value === "object" && value !== null && "add" in value ? value.add ?? null : value;
}

/** The sums of a bucket, in order: which came first depends on what is committed together. */
function sumsOf(data: string): unknown {
  if (data === "") return [];
  const tables: number[][] = JSON.parse(data);
  const read = tables.map(([table, ...sums]) => {
    const rows = sums.splice(0, 2);
    const columns = Array.from({ length: sums.length / 2 }, (_, i) => sums.slice(i * 2, i * 2 + 2));
    return { table, rows, columns: byKey(columns, ([column]) => String(column)) };
  });
  return byKey(read, ({ table }) => String(table));
}

function contentOf(backup: Backup): MemoryContent {
  const content = backup.get("g");
  if (content === undefined) throw new Error("There is no gateway");
  return content;
}

async function opened(backup: Backup): Promise<{ stores: BackedUpStores; store: Store }> {
  const stores = new BackedUpStores();
  stores.restore(backup);
  const store = await stores.open().open("g", false);
  if (store === undefined) throw new Error("There is no gateway");
  return { stores, store };
}

function sourceOf(store: Store, { clients }: MemoryContent): ReplaySource & Pick<Store, "head"> {
  return {
    head: () => store.head(),
    readClients: (ids) => store.readClients(ids),
    readMeta: (name) => store.readMeta(name),
    readLog: (after, limit) => store.readLog(after, limit),
    clientIds: () => Promise.resolve(clients.map(({ clientId }) => clientId)),
  };
}

/**
 * Of a client that sends no chain nobody knows when it was refused what came after all that was
 * accepted.
 */
function clientOf(
  { clientId, sub, lastMutationId, orphans, chain, refusals, seenMs }: ClientRecord,
  log: readonly LogEntry[],
) {
  if (WRITERS.find((writer) => writer.clientId === clientId)?.chains) {
    return { clientId, sub, lastMutationId, orphans, chain, refusals };
  }
  const own = log.filter((entry) => entry.clientId === clientId);
  const accepted = own.at(-1)?.mutationId ?? 0;
  assert(lastMutationId >= accepted && seenMs >= (own.at(-1)?.committedMs ?? 0));
  return { clientId, sub, lastMutationId: accepted, orphans };
}

function byKey<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Everything of a gateway that is to be as it was; numbers that only its files use are left out. */
function essence({ head, rows, clients, buckets, meta, log }: MemoryContent, throughSeq: number) {
  const ids = new Map(buckets.map(({ bucket, id }) => [bucket, id]));
  const metas = new Map(meta);
  const kept = log.filter(({ seq }) => seq <= throughSeq);
  return {
    seq: head.seq,
    rows: byKey(rows, ({ table, rowId }) => `${table}/${rowId}`).map(({ table, rowId, data }) => {
      const { memberships, ...record } = readRecord(data);
      const within = memberships.filter(isMember).map(({ bucket }) => ids.get(bucket)).sort();
      return { table, rowId, ...record, within };
    }),
    clients: byKey(clients, ({ clientId }) => clientId)
      .map((client) => clientOf(client, kept))
      .filter(({ lastMutationId }) => lastMutationId > 0),
    buckets: byKey(buckets.filter(({ rows }) => rows > 0), ({ id }) => id)
      .map(({ id, rows, data }) => ({ id, rows, sums: sumsOf(data) })),
    counts: byKey(
      JSON.parse(metas.get("counts") ?? "[]").filter(([, n]: number[]) => n),
      String,
    ),
    schema: metas.get("schema"),
    rules: metas.get("rules"),
    log: kept,
  };
}

/** The head knows every stamp that was accepted. */
function checkClock({ head, log }: MemoryContent): void {
  for (const { delta } of log.flatMap(({ payload }) => readLogPayload(payload))) {
    assert((delta.hlc ?? 0n) <= BigInt(head.hlc));
  }
}

async function replayed(backup: Backup, newest: Backup, until: Moment, endMs: number) {
  const { stores, store } = await opened(backup);
  const { store: newer } = await opened(newest);
  const source = sourceOf(newer, contentOf(newest));
  const env = environment({ ms: endMs });
  const result = await replayLog({ store, source, until, endMs, env });
  return { result, stores, store };
}

const HISTORY = fc.array(step, { minLength: 12, maxLength: 45 });
const RUNS = Number(Deno.env.get("REPLAY_RUNS") ?? 25);

Deno.test("G13: a log replayed onto any backup gives what was there at each later moment", async () => {
  let moments = 0;
  let refusals = 0;
  let orphans = 0;
  await fc.assert(
    fc.asyncProperty(HISTORY, async (steps) => {
      await using world = new World();
      await world.take({ kind: "schema" });
      for (const step of [...steps, { kind: "note" } as const]) await world.take(step);
      const newest = world.noted.at(-1);
      if (newest === undefined) return;
      for (const [i, from] of world.noted.entries()) {
        for (const to of world.noted.slice(i)) {
          const { stores, result } = await replayed(
            from.data,
            newest.data,
            { ms: to.ms },
            newest.ms,
          );
          assert.ok(result.seq <= to.seq, "a new epoch alone is not replayed");
          checkClock(contentOf(stores.backup()));
          const expected = { ...essence(contentOf(to.data), to.seq), seq: result.seq };
          assert.deepEqual(essence(contentOf(stores.backup()), to.seq), expected);
          moments++;
        }
      }
      const { clients } = contentOf(newest.data);
      refusals += clients.reduce((sum, { refusals }) => sum + refusals.length, 0);
      orphans += clients.reduce((sum, { orphans }) => sum + orphans, 0);
    }),
    { numRuns: RUNS },
  );
  assert(moments > RUNS && refusals > 0 && orphans > 0, "the histories try too little");
});

function push(op: Op, row: number, title: string, writer = 0): Step {
  const columns: Write["columns"] = { title };
  return { kind: "push", writer, transactions: [[{ op, table: "todos", row, columns, agoMs: 0 }]] };
}

async function history(...steps: readonly Step[]): Promise<World> {
  const world = new World();
  await world.take({ kind: "schema" });
  for (const step of steps) await world.take(step);
  return world;
}

function notedOf({ noted }: World): readonly [first: Noted, last: Noted] {
  const [first, last] = [noted[0], noted.at(-1)];
  if (first === undefined || last === undefined) throw new Error("Nothing was noted");
  return [first, last];
}

Deno.test("G13: a log is replayed through a commit, be it of a transaction or of rules", async () => {
  await using world = await history(
    push("INSERT", 0, "a"),
    { kind: "note" },
    push("INSERT", 1, "b"),
    { kind: "rules", which: 0 },
    push("INSERT", 2, "c"),
    { kind: "note" },
  );
  const [from, to] = notedOf(world);
  for (const [seq, rows, buckets] of [[1, 1, 1], [2, 2, 1], [3, 2, 2], [4, 3, 2]] as const) {
    const { result, stores } = await replayed(from.data, to.data, { seq }, to.ms);
    const { rows: all, meta } = contentOf(stores.backup());
    assert.deepEqual([result.seq, result.transactions, all.length], [seq, rows - 1, rows]);
    const rules: { families: unknown[]; open: boolean } = JSON.parse(
      new Map(meta).get("rules") ?? '{"families":[1],"open":true}',
    );
    assert.equal(rules.open, buckets === 1);
  }
});

Deno.test("G13: a large transaction is replayed in its slices, and found whole", async () => {
  const many = Array.from({ length: 4_500 }, (_, row): Write => {
    const columns: Write["columns"] = { title: `t${row}`, list_id: "l1" };
    return { op: "INSERT", table: "todos", row, columns, agoMs: 0 };
  });
  const large: Step = { kind: "push", writer: 0, transactions: [many] };
  await using world = await history(
    push("INSERT", 0, "before"),
    { kind: "note" },
    large,
    { kind: "note" },
    push("UPDATE", 4_000, "after"),
    { kind: "note" },
  );
  const [from, newest] = notedOf(world);
  assert(contentOf(newest.data).log.some(({ slice }) => slice > 1));
  for (const to of world.noted) {
    const { result, stores } = await replayed(from.data, newest.data, { ms: to.ms }, newest.ms);
    assert.equal(result.seq, to.seq);
    assert.deepEqual(
      essence(contentOf(stores.backup()), to.seq),
      essence(contentOf(to.data), to.seq),
    );
  }
});

Deno.test("G13: a large transaction is there from its last slice on, however long it was written", async () => {
  const many = Array.from({ length: 4_500 }, (_, row): Write => {
    return { op: "INSERT", table: "todos", row, columns: { title: `t${row}` }, agoMs: 0 };
  });
  await using world = await history(push("INSERT", 0, "before"), { kind: "note" });
  world.clock.turnMs = 1;
  await world.take({ kind: "push", writer: 0, transactions: [many] });
  await world.take({ kind: "note" });
  const [from, newest] = notedOf(world);
  const slices = contentOf(newest.data).log.filter(({ seq }) => seq === 2);
  const [first = 0, last = 0] = [slices[0]?.committedMs, slices.at(-1)?.committedMs];
  assert(first < last);
  for (const [ms, rows] of [[first, 1], [last - 1, 1], [last, 4_500]] as const) {
    const { stores, result } = await replayed(from.data, newest.data, { ms }, newest.ms);
    const { rows: replayedRows, log, clients } = contentOf(stores.backup());
    assert.equal(replayedRows.length, rows);
    assert.equal(log.length, rows === 1 ? 1 : 1 + slices.length);
    assert.deepEqual(
      [result.transactions, clients[0]?.lastMutationId],
      rows === 1 ? [0, 1] : [1, 2],
    );
  }
});

Deno.test("G13: a name that was forked after the backup is known as forked after a replay", async () => {
  await using world = await history(push("INSERT", 0, "a"), push("INSERT", 1, "b"), {
    kind: "note",
  });
  await world.fork("ann-1");
  await world.note();
  const [from, to] = notedOf(world);
  const { stores } = await replayed(from.data, to.data, { ms: to.ms }, to.ms);
  const forked = ({ clients }: MemoryContent) =>
    clients.filter(({ forked }) => forked).map(({ clientId }) => clientId);
  assert.deepEqual(forked(contentOf(to.data)), ["ann-1"]);
  assert.deepEqual(forked(contentOf(stores.backup())), ["ann-1"]);
});

Deno.test("replayLog says what is missing when it cannot replay", async () => {
  await using world = await history(
    push("INSERT", 0, "a"),
    { kind: "note" },
    push("INSERT", 1, "b"),
    push("INSERT", 2, "c"),
    { kind: "note" },
  );
  const [from, to] = notedOf(world);
  const until = { ms: to.ms };
  await using other = await history(push("INSERT", 0, "x"), { kind: "note" });
  const refusal = async (
    [backup, newest]: readonly [Backup, Backup],
    until: Moment,
    message: RegExp,
  ) => await assert.rejects(replayed(backup, newest, until, to.ms), { message });
  await refusal([from.data, notedOf(other)[0].data], until, /is of another history/);
  await refusal([to.data, from.data], until, /is of another history/);
  await refusal([from.data, to.data], { ms: to.ms + 1 }, /knows nothing after 2026-/);
  await refusal([from.data, to.data], { ms: START_MS }, /The backup is from after 2026-/);
  await refusal([from.data, to.data], { seq: 0 }, /The backup is from after commit 0/);
  await refusal([from.data, to.data], { seq: 9 }, /The log ends with commit 3/);
  const { stores, store } = await opened(to.data);
  await store.commit({
    expectedSeq: to.seq,
    head: await store.head(),
    meta: [["trimmed", "2"]],
  });
  await store.trimLog(2, 10);
  await refusal([from.data, stores.backup()], until, /trimmed through commit 2/);
});

Deno.test("G13: an epoch that begins after a replay has the lives of the history before it", async () => {
  await using world = await history(
    push("INSERT", 0, "a"),
    { kind: "note" },
    { kind: "restart" },
    push("INSERT", 1, "b"),
    { kind: "restart" },
    push("INSERT", 2, "c"),
    { kind: "note" },
  );
  const [from, to] = notedOf(world);
  const { result, store } = await replayed(from.data, to.data, { seq: 2 }, to.ms);
  await beginEpoch(store, "again", result.lives);
  const lives: [string, number][] = JSON.parse(await store.readMeta("lives") ?? "[]");
  assert.deepEqual(lives.map(([, fromSeq]) => fromSeq), [0, 0, 1, 2]);
  assert.equal(lives.at(-1)?.[0], "again");
  assert.equal((await store.head()).seq, 3);
});
