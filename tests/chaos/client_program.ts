/**
 * A device: a process that writes to its own SQLite file until it is told to stop, or killed. Runs
 * under Deno, Node and Bun.
 *
 * `client_program.ts SETTINGS`, the settings as JSON. It prints `open N` with how many of its
 * transactions its file held when it was opened, then `tx N` for each that has committed here,
 * `torn` whenever it shows half of a transaction, and `repair` when rows had to be repaired. On
 * `stop` it writes no more and prints `synced N` when the gateway has everything; on `status` it
 * prints from then on whether it is `online` or `offline`; on `show` it prints `shows HASH` of all
 * it shows; on `close`, or when nobody listens, it ends.
 *
 * @module
 */

import { createClient } from "@lakesync/client";
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { isTorn, readAll, readTally, SCHEMA, writeOne } from "./client_workload.ts";

interface Settings {
  readonly url: string;
  readonly token: string;
  readonly database: string;
  readonly device: string;
  readonly paceMs: number;
  readonly times: number;
}

/** After so many transactions it looks whether any is there in part. */
const LOOK_EVERY = 10;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const { url, token, database, device, paceMs, times }: Settings = JSON.parse(
  process.argv[2] ?? "{}",
);
const client = await createClient({
  url,
  gateway: "default",
  database,
  schema: SCHEMA,
  getToken: () => token,
  environment: {
    setTimer: (ms, callback) => {
      const timer = setTimeout(callback, ms / times);
      return () => clearTimeout(timer);
    },
  },
});

client.status.subscribe(({ lastRepair }) => {
  if (lastRepair !== undefined) say(`repair ${JSON.stringify(lastRepair)}`);
});

let writing = true;
let written = await readTally(client, device);
if (await isTorn(client)) say("torn");
say(`open ${written}`);

async function write(): Promise<void> {
  while (writing) {
    await writeOne(client, device, written + 1);
    say(`tx ${++written}`);
    if (written % LOOK_EVERY === 0 && await isTorn(client)) say("torn");
    await new Promise((resolve) => setTimeout(resolve, Math.random() * paceMs));
  }
}

const work = write();

async function obey(command: string): Promise<void> {
  if (command === "stop") {
    writing = false;
    await work;
    await client.synced();
    say(`synced ${written}`);
  } else if (command === "status") {
    client.status.subscribe(({ online }) => say(online ? "online" : "offline"));
  } else if (command === "show") {
    say(`shows ${createHash("sha256").update(await readAll(client)).digest("hex")}`);
  }
}

for await (const command of createInterface({ input: process.stdin })) {
  if (command === "close") break;
  void obey(command);
}
writing = false;
await work;
await client.close();
process.exit(0);
