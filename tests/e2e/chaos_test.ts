/** Everything that can happen on the way, at random, while clients write. */

import assert from "node:assert/strict";
import { Proxy } from "./proxy.ts";
import { synced, until } from "./wait.ts";
import { converged, fastTimers, type NotesClient, World } from "./world.ts";

const SEED = Number(Deno.env.get("LAKESYNC_TEST_SEED") ?? Date.now() % 1_000_000);
const STEPS = Number(Deno.env.get("LAKESYNC_TEST_STEPS") ?? "150");
const STEP_MS = 10;
const SHARED_ROWS = 5;

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Lets some traffic pass between two steps. */
function pace(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A device: its client is closed and opened again, and what it wrote is counted. */
class Device {
  written = 0;
  #client: NotesClient | undefined;

  constructor(readonly name: string, readonly open: () => Promise<NotesClient>) {}

  async client(): Promise<NotesClient> {
    return this.#client ??= await this.open();
  }

  async restart(): Promise<void> {
    await this.#client?.close();
    this.#client = undefined;
  }

  async write(random: () => number): Promise<void> {
    const client = await this.client();
    const n = this.written++;
    const shared = Math.floor(random() * SHARED_ROWS);
    await client.transaction(async (tx) => {
      await tx.exec("INSERT INTO notes VALUES (?, ?, NULL)", [`${this.name}-${n}`, this.name]);
      await tx.exec(
        `INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET text = ?2`,
        [shared, `${this.name}-${n}`],
      );
      if (random() < 0.2) await tx.exec("DELETE FROM marks WHERE id = ?", [(shared + 1) % 5]);
    });
  }
}

Deno.test(`G2 G3 G5: clients converge, whatever breaks on the way (seed ${SEED})`, async () => {
  const random = randomFrom(SEED);
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  let lossy = true;
  proxy.treat = ({ kind }) => {
    const dice = lossy ? random() : 1;
    if (dice < 0.15 && kind === "push") return "lose answer";
    return dice < 0.25 ? "refuse" : "pass";
  };
  const environment = {
    setTimer: fastTimers(20),
    openSocket: (url: string, protocols: string[]) =>
      new WebSocket(
        url.replace(new URL(proxy.url).host, new URL(world.server.url).host),
        protocols,
      ),
  };
  const devices = ["a", "b", "c"].map((name) =>
    new Device(name, () => world.notes(name, { sub: name, url: proxy.url, environment }))
  );
  for (let step = 0; step < STEPS; step++) {
    const device = devices[Math.floor(random() * devices.length)];
    await pace(random() * STEP_MS);
    const dice = random();
    if (dice < 0.8) await device?.write(random);
    else if (dice < 0.85) (await device?.client())?.pause();
    else if (dice < 0.92) (await device?.client())?.resume();
    else if (dice < 0.97) await device?.restart();
    else {
      await world.server.kill();
      await world.server.start();
    }
  }
  lossy = false;
  const clients = await Promise.all(devices.map((device) => device.client()));
  for (const client of clients) client.resume();
  await Promise.all(clients.map((client) => synced(client)));
  const total = devices.reduce((sum, { written }) => sum + written, 0);
  await until("all rows everywhere", async () => {
    const counts = await Promise.all(clients.map(async (client) => {
      const [row] = await client.query("SELECT count(*) AS n FROM notes");
      return Number(row?.["n"]);
    }));
    return counts.every((count) => count === total);
  });
  await converged("notes", clients);
  await converged("marks", clients);
  const { seq, log } = await world.stats();
  assert.deepEqual([seq, log.entries], [String(total), total]);
  assert.deepEqual(
    await Promise.all(clients.map((client) => client.deadLetters())),
    clients.map(() => []),
  );
});
