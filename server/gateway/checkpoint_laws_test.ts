import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bootstrapper, CheckpointWorld, type Write } from "./testing_checkpoint.ts";

const LISTS = ["a", "b", "c"];
const USERS = ["ann", "bob"];
const ROWS = 18;

type Step =
  | { readonly kind: "move"; readonly row: number; readonly list: string }
  | { readonly kind: "edit"; readonly row: number; readonly n: number }
  | { readonly kind: "own"; readonly row: number; readonly owner: string }
  | { readonly kind: "delete"; readonly row: number }
  | { readonly kind: "grant"; readonly sub: string; readonly list: string }
  | { readonly kind: "stream"; readonly sub: string; readonly chunks: number }
  | { readonly kind: "page"; readonly sub: string };

const row = fc.nat(ROWS - 1);
const list = fc.constantFrom(...LISTS);
const sub = fc.constantFrom(...USERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("move"), row, list }),
  fc.record({ kind: fc.constant("edit"), row, n: fc.nat(99) }),
  fc.record({ kind: fc.constant("own"), row, owner: fc.constantFrom(...USERS, "x") }),
  fc.record({ kind: fc.constant("delete"), row }),
  fc.record({ kind: fc.constant("grant"), sub, list }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("stream"), sub, chunks: fc.nat(4) }) },
  fc.record({ kind: fc.constant("page"), sub }),
);

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

Deno.test("G7: chunks and tail give exactly the scope, and name nothing that left before", async () => {
  let resumed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(1, 2, 5, 100),
      fc.constantFrom(0.1, 0.5, 10),
      async (steps, limit, staleShare) => {
        await using world = await CheckpointWorld.open({ minRows: 3, chunkRows: 2, staleShare });
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
          await world.write(["INSERT", "notes", `r${id}`, {
            list_id: list,
            owner,
            title: `${id}`,
          }]);
        }
        model.members.add("ann/a");
        await world.join("ann", "a");
        const clients = new Map(USERS.map((sub) => [sub, world.client(sub, limit)]));
        const check = (client: Bootstrapper) => {
          const allowed = model.allowed.get(client.caller.sub);
          for (const key of client.named) assert(allowed?.has(key), `${key} was never in scope`);
        };
        for (const step of steps) {
          if (step.kind !== "stream" && step.kind !== "page") {
            await write(world, model, step);
            continue;
          }
          const client = clients.get(step.sub);
          if (client === undefined) continue;
          if (step.kind === "stream" && client.etag !== undefined) resumed++;
          await read(client, model, step);
          check(client);
        }
        for (const [sub, client] of clients) {
          if (!model.allowed.has(sub)) model.begin(sub);
          if (client.etag !== undefined) await client.bootstrap();
          await client.pull();
          check(client);
          assert.deepEqual(client.table(), await world.expected(sub));
        }
      },
    ),
    { numRuns: Number(Deno.env.get("CHECKPOINT_RUNS") ?? 20) },
  );
  assert(resumed > 0);
});
