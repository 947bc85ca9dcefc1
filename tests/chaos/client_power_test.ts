/**
 * The power of a device fails while it pushes. What it has sent must be on its disk: a transaction
 * that the gateway has and the device forgot would be followed by another one of the same number.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { decodePush, type PushRequest } from "@lakesync/core";
import { synced, until } from "../e2e/wait.ts";
import { World } from "../e2e/world.ts";
import { Random } from "../oracle/random.ts";
import { DENO, Device } from "./client_support.ts";
import { type Call, canRecord, leftByPowerFailure, parseRecord, recorder } from "./client_trace.ts";
import {
  expectedBulk,
  expectedPair,
  readBulk,
  readPair,
  readTally,
  SCHEMA,
  writeOne,
} from "./client_workload.ts";
import { type Fate, Network, type Segment } from "./network_proxy.ts";

const SEED = Number(Deno.env.get("LAKESYNC_TEST_SEED") ?? Date.now() % 1_000_000);
const PACE_MS = 10;

/** Pushes with so many bytes are parts of a large transaction. */
const LARGE_BYTES = 50_000;

/** The power fails at so many pushes, the last ones. */
const MOST_TRIED = 8;

/** A push as the device sent it. */
interface Sent {
  /** How many calls it had made before. */
  readonly at: number;
  readonly request: PushRequest;
}

const HEAD = /^POST \S+\/push HTTP\/1\.1\r\n.*?\r\n\r\n/s;
const HEAD_BYTES = 4_096;

/** The head of a push that bytes begin with, and how long its body is. */
function headOf(bytes: Uint8Array): { readonly head: number; readonly body: number } | undefined {
  const [head] = HEAD.exec(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES))) ?? [];
  if (head === undefined) return undefined;
  return { head: head.length, body: Number(/content-length: (\d+)/i.exec(head)?.[1]) };
}

/** Finds pushes among calls: the head of each, and then its body, on one socket. */
function pushesOf(calls: readonly Call[]): Sent[] {
  const pushes: Sent[] = [];
  for (const [at, { file, bytes }] of calls.entries()) {
    const found = headOf(bytes);
    if (found === undefined) continue;
    const body = new Uint8Array(found.body);
    let length = 0;
    const take = (more: Uint8Array) => {
      const taken = more.subarray(0, body.length - length);
      body.set(taken, length);
      length += taken.length;
    };
    take(bytes.subarray(found.head));
    for (const later of calls.slice(at + 1)) {
      if (length === body.length) break;
      if (later.file === file) take(later.bytes);
    }
    // One that was cut short has told nobody anything.
    if (length === body.length) pushes.push({ at, request: decodePush(body) });
  }
  return pushes;
}

/** Writes what a power failure left. */
async function putBack(
  calls: readonly Call[],
  from: string,
  to: string,
  random: Random | undefined,
): Promise<void> {
  const { database, log } = leftByPowerFailure(calls, from, random);
  await Deno.writeFile(to, database);
  await Deno.writeFile(`${to}-wal`, log);
  await Deno.remove(`${to}-shm`).catch(() => {});
}

/** The stamps of each transaction that a database knows. */
function stampsIn(file: string): Map<number, Set<string>> {
  const stamps = new Map<number, Set<string>>();
  const database = new DatabaseSync(file);
  try {
    const [found] = database.prepare(
      "SELECT count(*) AS n FROM sqlite_schema WHERE name = '_lakesync_tx'",
    ).all();
    if (found?.["n"] !== 1) return stamps;
    const rows = database.prepare(`
      SELECT mutation_id, CAST(hlc AS TEXT) AS hlc FROM _lakesync_tx
      JOIN _lakesync_outbox ON n BETWEEN first_n AND last_n`).all();
    for (const { mutation_id, hlc } of rows) {
      const id = Number(mutation_id);
      stamps.set(id, (stamps.get(id) ?? new Set()).add(String(hlc)));
    }
  } finally {
    database.close();
  }
  return stamps;
}

/** The transactions of a push that a database does not know as they were sent. */
function forgotten({ transactions }: PushRequest, file: string): number[] {
  const stamps = stampsIn(file);
  return transactions
    .filter(({ mutationId, deltas }) =>
      !deltas.every(({ hlc }) => stamps.get(mutationId)?.has(String(hlc)))
    )
    .map(({ mutationId }) => mutationId);
}

const isPush = ({ request }: Segment) => request.includes("/push ");

/** Whether the network shall break with this segment; asked once for each. */
type Moment = () => (segment: Segment) => boolean;

const MOMENTS: readonly (readonly [string, Moment])[] = [
  ["the gateway has committed a push and the answer is under way", () => {
    let answers = 0;
    return (segment) => segment.way === "down" && isPush(segment) && ++answers === 8;
  }],
  ["some parts of a large transaction have arrived", () => {
    let parts = 0;
    return ({ way, bytes }) => {
      const length = way === "up" ? headOf(bytes)?.body ?? 0 : 0;
      return length > LARGE_BYTES && ++parts === 2;
    };
  }],
];

const records = await canRecord();
if (!records) console.log("skipped: what the disk of a device has needs strace on this machine");

for (const [what, moment] of MOMENTS) {
  Deno.test({
    name:
      `G2 G13: a device remembers what it has pushed when its power fails while ${what} (seed ${SEED})`,
    ignore: !records,
    fn: async () => {
      const random = new Random(SEED);
      await using world = await World.open(SCHEMA);
      await using network = await Network.open(() => world.server.url, random);
      const broken = Promise.withResolvers<void>();
      const isMoment = moment();
      network.fate = (segment): Fate => {
        if (!isMoment(segment)) return "pass";
        network.blackHole();
        broken.resolve();
        return "hold";
      };
      const record = `${world.folder}/record`;
      const database = world.file("a");
      await using device = new Device([...recorder(record), ...DENO], {
        url: network.url,
        token: await world.token("alice"),
        database,
        device: "a",
        paceMs: PACE_MS,
      });
      device.start();
      await broken.promise;
      await device.kill();
      assert.deepEqual(device.faults, []);
      const calls = parseRecord(await Deno.readTextFile(record));
      const pushes = pushesOf(calls);
      assert.ok(pushes.length > 2, `${pushes.length} pushes were seen`);
      const left = world.file("left");
      for (const { at, request } of pushes.slice(-MOST_TRIED)) {
        for (const chance of [undefined, random]) {
          await putBack(calls.slice(0, at), database, left, chance);
          assert.deepEqual(forgotten(request, left), [], "pushed, and not on the disk");
        }
      }

      const last = pushes.at(-1);
      await putBack(calls.slice(0, last?.at), database, left, random);
      const client = await world.client("left", { schema: SCHEMA, sub: "alice" });
      const written = await readTally(client, "a");
      assert.ok(written >= (last?.request.transactions.at(-1)?.mutationId ?? Infinity));
      await writeOne(client, "a", written + 1);
      await synced(client);
      assert.equal(await client.clientId(), last?.request.clientId, "it goes on under its name");
      const counts = new Map([["a", written + 1]]);
      const fresh = await world.client("fresh", { schema: SCHEMA });
      await until("everything", async () => await readTally(fresh, "a") === written + 1);
      assert.deepEqual(await readPair(fresh, "entries"), expectedPair(counts));
      assert.deepEqual(await readPair(fresh, "halves"), expectedPair(counts));
      assert.deepEqual(await readBulk(fresh), expectedBulk(counts));
      assert.equal((await world.stats()).seq, String(written + 1), "committed twice");
    },
  });
}
