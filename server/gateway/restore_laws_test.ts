import { memoryObjects } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { BackedUpStores, type Backup } from "../store/testing_backups.ts";
import { type Bootstrapper, CheckpointWorld, type Write } from "./testing_checkpoint.ts";

const LISTS = ["a", "b", "c"];
const USERS = ["ann", "bob"];
const ROWS = 8;
const SETTINGS = { minRows: 2, chunkRows: 2 };
/** So many chunks are read also by a client whose stream is through: it begins another. */
const ANEW = 4;

type Step =
  | { readonly kind: "move"; readonly row: number; readonly list: string }
  | { readonly kind: "edit"; readonly row: number; readonly n: number }
  | { readonly kind: "own"; readonly row: number; readonly owner: string }
  | { readonly kind: "delete"; readonly row: number }
  | { readonly kind: "grant"; readonly sub: string; readonly list: string }
  | { readonly kind: "stream"; readonly sub: string; readonly chunks: number }
  | { readonly kind: "page"; readonly sub: string }
  | { readonly kind: "restore"; readonly which: number }
  | { readonly kind: "backup" | "restart" };

const row = fc.nat(ROWS - 1);
const list = fc.constantFrom(...LISTS);
const sub = fc.constantFrom(...USERS);
const of = <K extends string>(kind: K) => fc.constant(kind);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: of("move"), row, list }),
  fc.record({ kind: of("edit"), row, n: fc.nat(99) }),
  fc.record({ kind: of("own"), row, owner: fc.constantFrom(...USERS, "x") }),
  fc.record({ kind: of("delete"), row }),
  fc.record({ kind: of("grant"), sub, list }),
  { weight: 2, arbitrary: fc.record({ kind: of("stream"), sub, chunks: fc.nat(ANEW) }) },
  { weight: 3, arbitrary: fc.record({ kind: of("page"), sub }) },
  fc.record({ kind: of("restore"), which: fc.nat(3) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("backup" as const, "restart") }) },
);

/** What a write depends on: which rows and which members there are. */
interface Known {
  readonly rows: ReadonlySet<number>;
  readonly members: ReadonlySet<string>;
}

interface KnownBackup extends Known {
  readonly data: Backup;
}

/** A gateway that goes back to backups and forth again, and the clients that follow it. */
class RestoredWorld implements AsyncDisposable {
  readonly #staleShare: number;
  readonly #stores: BackedUpStores;
  readonly #objects = memoryObjects();
  readonly #backups: KnownBackup[] = [];
  #known: Known = { rows: new Set(), members: new Set() };
  #world: CheckpointWorld;
  readonly clients: ReadonlyMap<string, Bootstrapper>;

  private constructor(
    stores: BackedUpStores,
    staleShare: number,
    world: CheckpointWorld,
    limit: number,
  ) {
    this.#stores = stores;
    this.#staleShare = staleShare;
    this.#world = world;
    this.clients = new Map(USERS.map((sub) => [sub, world.client(sub, limit)]));
  }

  static async open(staleShare: number, limit: number): Promise<RestoredWorld> {
    const stores = new BackedUpStores();
    const first = await CheckpointWorld.open(SETTINGS, stores.open());
    const world = new RestoredWorld(stores, staleShare, first, limit);
    await world.#reopen();
    for (let i = 0; i < ROWS; i++) {
      await world.#put(i, { list_id: LISTS[i % 2] ?? "a", owner: USERS[i] ?? "x" });
    }
    for (const [sub, list] of [["ann", "a"], ["ann", "b"], ["bob", "a"]] as const) {
      await world.take({ kind: "grant", sub, list });
    }
    return world;
  }

  /** Starts the process again, with the data as they are then; time goes on. */
  async #reopen(data?: Backup): Promise<void> {
    const { ms } = this.#world.fixture.clock;
    await this.#world[Symbol.asyncDispose]();
    if (data !== undefined) this.#stores.restore(data);
    const settings = { ...SETTINGS, staleShare: this.#staleShare };
    this.#world = await CheckpointWorld.open(settings, this.#stores.open(), this.#objects);
    this.#world.fixture.clock.ms = ms;
    for (const client of this.clients.values()) client.gateway = this.#world.gateway;
  }

  async #put(row: number, columns: NonNullable<Write[3]>): Promise<void> {
    const op = this.#known.rows.has(row) ? "UPDATE" : "INSERT";
    this.#known = { ...this.#known, rows: new Set([...this.#known.rows, row]) };
    await this.#world.write([op, "notes", `r${row}`, columns]);
  }

  async take(step: Step): Promise<void> {
    const { rows, members } = this.#known;
    switch (step.kind) {
      case "move":
        return await this.#put(step.row, { list_id: step.list });
      case "edit":
        return await this.#put(step.row, { n: step.n });
      case "own":
        return await this.#put(step.row, { owner: step.owner });
      case "delete":
        if (!rows.has(step.row)) return;
        this.#known = { members, rows: rows.difference(new Set([step.row])) };
        return await this.#world.write(["DELETE", "notes", `r${step.row}`]);
      case "grant": {
        const name = `${step.sub}/${step.list}`;
        this.#known = { rows, members: members.symmetricDifference(new Set([name])) };
        if (!members.has(name)) return await this.#world.join(step.sub, step.list);
        return await this.#world.write(["DELETE", "members", name]);
      }
      case "backup":
        return void this.#backups.push({ ...this.#known, data: this.#stores.backup() });
      case "restore": {
        const backup = this.#backups[step.which % Math.max(1, this.#backups.length)];
        if (backup === undefined) return;
        this.#known = backup;
        return await this.#reopen(backup.data);
      }
      case "restart":
        return await this.#reopen();
      case "stream":
        return await this.read(step.sub, async (client) => {
          const isThrough = client.etag === undefined && client.cursor !== undefined;
          if (!isThrough || step.chunks === ANEW) await bootstrap(client, step.chunks || Infinity);
        });
      case "page":
        return await this.read(step.sub, async (client) => {
          if (client.etag === undefined) await client.page();
        });
    }
  }

  /** Lets a client read; one that is told to forgets all that it has. */
  async read(sub: string, read: (client: Bootstrapper) => Promise<void>): Promise<void> {
    const client = this.clients.get(sub);
    if (client === undefined) throw new Error("There is no such client");
    try {
      await read(client);
    } catch (error) {
      if (!(error instanceof LakeSyncError) || error.code !== "RESYNC_REQUIRED") throw error;
      forget(client);
      resyncs++;
    }
  }

  /** Brings all clients to their next checkpoint, and holds them against the gateway's scopes. */
  async check(): Promise<void> {
    for (const [sub, client] of this.clients) {
      for (let isDone = false; !isDone;) {
        await this.read(sub, async () => {
          if (client.etag !== undefined) await client.bootstrap();
          await client.pull();
          isDone = true;
        });
      }
      assert.deepEqual(client.table(), await this.#world.expected(sub), sub);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

/** So often more lives are tried while none has brought a resync. */
const MAX_ROUNDS = 20;

let resyncs = 0;

function forget(client: Bootstrapper): void {
  client.cursor = undefined;
  client.etag = undefined;
  client.chunks = 0;
  client.rows.clear();
}

/** Streams on, or anew where no stream was broken off. */
async function bootstrap(client: Bootstrapper, chunks: number): Promise<void> {
  if (client.etag === undefined) forget(client);
  await client.bootstrap(chunks);
}

Deno.test("G7 G13: chunks and pages give exactly the scope, to whichever backups the data go", async () => {
  const law = () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 40 }),
        fc.constantFrom(1, 2, 5),
        fc.constantFrom(0.1, 0.5, 10),
        async (steps, limit, staleShare) => {
          await using world = await RestoredWorld.open(staleShare, limit);
          for (const step of steps) await world.take(step);
          await world.check();
          // With the first commit after a restore another life of the data begins.
          await world.take({ kind: "edit", row: 0, n: 100 });
          await world.check();
        },
      ),
      { numRuns: Number(Deno.env.get("RESTORE_RUNS") ?? 15) },
    );
  // A few lives may bring no client to its beginning again; such lives have not tried enough.
  for (let round = 0; round < MAX_ROUNDS && resyncs === 0; round++) await law();
  assert(resyncs > 0);
});
