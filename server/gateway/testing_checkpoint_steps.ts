/**
 * Random steps of writers and of clients that begin by a checkpoint, and what holds of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Bootstrapper,
  type CheckpointWorld,
  RULES,
  type Write,
} from "./testing_checkpoint.ts";
import type { CopyingSource } from "./testing_rows.ts";

const LISTS = ["a", "b", "c"];
const USERS = ["ann", "bob"];
const ROWS = 18;

/** A step. */
export type Step =
  | { readonly kind: "move"; readonly row: number; readonly list: string }
  | { readonly kind: "edit"; readonly row: number; readonly n: number }
  | { readonly kind: "own"; readonly row: number; readonly owner: string }
  | { readonly kind: "delete"; readonly row: number }
  | { readonly kind: "grant"; readonly sub: string; readonly list: string }
  | { readonly kind: "stream"; readonly sub: string; readonly chunks: number }
  | { readonly kind: "page"; readonly sub: string }
  | { readonly kind: "copy"; readonly newer: number }
  | { readonly kind: "during"; readonly step: Step }
  | { readonly kind: "rules"; readonly wide: boolean };

const row = fc.nat(ROWS - 1);
const list = fc.constantFrom(...LISTS);
const sub = fc.constantFrom(...USERS);
const writing: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("move" as const), row, list }),
  fc.record({ kind: fc.constant("edit" as const), row, n: fc.nat(99) }),
  fc.record({ kind: fc.constant("own" as const), row, owner: fc.constantFrom(...USERS, "x") }),
  fc.record({ kind: fc.constant("delete" as const), row }),
);
const common = [
  { weight: 4, arbitrary: writing },
  fc.record({ kind: fc.constant("grant" as const), sub, list }),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("stream" as const), sub, chunks: fc.nat(4) }),
  },
  fc.record({ kind: fc.constant("page" as const), sub }),
];

/** Steps of writers and clients. */
export const step: fc.Arbitrary<Step> = fc.oneof(...common);

/** The same with steps of a source of rows and of rules. */
export const stepWithRows: fc.Arbitrary<Step> = fc.oneof(
  ...common,
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("copy" as const), newer: fc.nat(3) }) },
  { weight: 2, arbitrary: writing.map((step): Step => ({ kind: "during", step })) },
  fc.record({ kind: fc.constant("rules" as const), wide: fc.boolean() }),
);

/** Rules by which the same rows are read, with another column. */
const WIDE = {
  ...RULES,
  buckets: RULES.buckets.map((bucket, i) =>
    i > 0 ? bucket : {
      ...bucket,
      tables: [{ ...bucket.tables[0], columns: ["title", "list_id", "n", "owner"] }],
    }
  ),
};

interface Row {
  readonly list: string;
  readonly owner: string;
}

/** What the world holds, and for each client what it may ever have been told of. */
class Model {
  readonly rows = new Map<number, Row>();
  readonly members = new Set<string>();
  readonly allowed = new Map<string, Set<string>>();
  /** Buckets that each client was granted since its stream began; their rows may be told. */
  readonly granted = new Map<string, Set<string>>();

  begin(sub: string): void {
    this.allowed.set(sub, new Set());
    this.granted.set(sub, new Set());
    this.note();
  }

  /** Takes in what is seen now. */
  note(): void {
    for (const [sub, allowed] of this.allowed) {
      const granted = this.granted.get(sub) ?? new Set();
      granted.add(`mine ${sub}`);
      for (const list of LISTS) if (this.members.has(`${sub}/${list}`)) granted.add(`by ${list}`);
      for (const [id, { list, owner }] of this.rows) {
        if (granted.has(`by ${list}`) || granted.has(`mine ${owner}`)) allowed.add(`notes/r${id}`);
      }
    }
  }
}

async function write(world: CheckpointWorld, model: Model, step: Step): Promise<void> {
  const put = (id: number, to: Partial<Row>, n?: number): Write => {
    const before = model.rows.get(id);
    const after = { list: "a", owner: "x", ...before, ...to };
    model.rows.set(id, after);
    const columns = { list_id: after.list, owner: after.owner, ...(n === undefined ? {} : { n }) };
    return [before === undefined ? "INSERT" : "UPDATE", "notes", `r${id}`, columns];
  };
  if (step.kind === "move") await world.write(put(step.row, { list: step.list }));
  if (step.kind === "own") await world.write(put(step.row, { owner: step.owner }));
  if (step.kind === "edit") await world.write(put(step.row, {}, step.n));
  if (step.kind === "delete" && model.rows.delete(step.row)) {
    await world.write(["DELETE", "notes", `r${step.row}`]);
  }
  if (step.kind === "grant") {
    const { sub, list } = step;
    const key = `${sub}/${list}`;
    if (model.members.delete(key)) await world.write(["DELETE", "members", key]);
    else {
      model.members.add(key);
      await world.join(sub, list);
    }
  }
  model.note();
}

/** Streams on, anew when the last stream has ended; pages while the tail is not through. */
async function read(client: Bootstrapper, model: Model, step: Step): Promise<void> {
  const { sub } = client.caller;
  if (step.kind === "stream") {
    if (client.etag === undefined || client.chunks === 0) {
      client.etag = undefined;
      client.cursor = undefined;
      client.named.clear();
      client.rows.clear();
      model.begin(sub);
    }
    await client.bootstrap(step.chunks === 0 ? Infinity : step.chunks);
  } else if (client.cursor !== undefined) await client.page();
}

/** What a run of steps has shown. */
export interface Shown {
  /** How many streams went on. */
  readonly resumed: number;
}

/**
 * Takes steps, and asserts that clients have exactly their scope and were told nothing else.
 *
 * @param world a world without rows
 * @param steps the steps
 * @param limit how many rows clients pull at once
 * @param source where snapshots may come from
 */
export async function checkSteps(
  world: CheckpointWorld,
  steps: readonly Step[],
  limit: number,
  source?: CopyingSource,
): Promise<Shown> {
  let resumed = 0;
  const model = new Model();
  // The buckets of one's own notes come before those of lists, in the order of places.
  for (const owner of USERS) {
    await world.write(["INSERT", "notes", owner, { owner }]);
    await world.write(["DELETE", "notes", owner]);
  }
  for (let id = 0; id < ROWS; id++) {
    const owner = USERS[id % 4] ?? "x";
    const list = LISTS[id % 3] ?? "a";
    model.rows.set(id, { list, owner });
    await world.write(["INSERT", "notes", `r${id}`, { list_id: list, owner, title: `${id}` }]);
  }
  model.members.add("ann/a");
  await world.join("ann", "a");
  await source?.copy();
  const clients = new Map(USERS.map((sub) => [sub, world.client(sub, limit)]));
  const check = (client: Bootstrapper) => {
    const allowed = model.allowed.get(client.caller.sub);
    for (const key of client.named) assert(allowed?.has(key), `${key} was never in scope`);
  };
  for (const step of steps) {
    if (step.kind === "copy") {
      await source?.copy(step.newer === 0 ? (id) => id.length % 2 === 0 : undefined);
    } else if (step.kind === "rules") {
      await world.gateway.putRules(step.wide ? WIDE : RULES, 5_000);
    } else if (step.kind === "during" && source !== undefined) {
      source.onPage = async () => {
        source.onPage = () => Promise.resolve();
        await write(world, model, step.step);
      };
    } else if (step.kind !== "stream" && step.kind !== "page") await write(world, model, step);
    else {
      const client = clients.get(step.sub);
      if (client === undefined) continue;
      if (step.kind === "stream" && client.etag !== undefined) resumed++;
      await read(client, model, step);
      check(client);
    }
  }
  for (const [sub, client] of clients) {
    if (!model.allowed.has(sub)) model.begin(sub);
    if (client.etag !== undefined) await client.bootstrap();
    await client.pull();
    check(client);
    assert.deepEqual(client.table(), await world.expected(sub));
  }
  return { resumed };
}
