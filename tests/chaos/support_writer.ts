/**
 * A client that writes all the time, and what must be everywhere in the end because it did.
 *
 * @module
 */

import type { ClientEnvironment } from "@lakesync/client";
import { synced, until } from "../e2e/wait.ts";
import type { Site, SiteClient } from "./support_site.ts";

/** Notes of one transaction. */
export const NOTES_EACH = 2;

/** The notes of so many transactions of a writer are there; the ones before are deleted again. */
export const KEPT = 20;

/** Rows that everybody counts in. */
export const TALLIES = 4;

const TAGS_EACH = 5;

/** What a tally must hold. */
export interface Tally {
  /** The sum. */
  n: number;
  /** The elements. */
  readonly tags: Set<string>;
}

async function seedTallies(client: SiteClient): Promise<void> {
  await client.transaction(async (tx) => {
    for (let i = 0; i < TALLIES; i++) {
      await tx.exec("INSERT INTO tallies VALUES (?, 0, '[]')", [`t${i}`]);
    }
  });
}

/** A client that writes. Each transaction touches three tables. */
export class Writer {
  /** Transactions that are committed on the device. */
  written = 0;
  /** This writer's part of each tally. */
  readonly tallies: readonly Tally[] = Array.from(
    { length: TALLIES },
    () => ({ n: 0, tags: new Set<string>() }),
  );
  #stop: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();

  /**
   * @param name begins the ids of what it writes
   * @param client writes it
   */
  constructor(readonly name: string, readonly client: SiteClient) {}

  /** Writes one transaction. */
  async write(): Promise<void> {
    const n = this.written + 1;
    const i = n % TALLIES;
    const tally = this.tallies[i];
    if (tally === undefined) throw new Error("There are fewer tallies");
    const amount = (n % 7) - 2;
    const tag = `${this.name}.${n % TAGS_EACH}`;
    const adds = !tally.tags.has(tag);
    await this.client.transaction(async (tx) => {
      await tx.exec("INSERT INTO marks VALUES (?, ?, ?)", [`${this.name}.${n}`, this.name, n]);
      for (let part = 0; part < NOTES_EACH; part++) {
        const id = `${this.name}.${n}.${part}`;
        await tx.exec("INSERT INTO notes VALUES (?, ?, ?, ?)", [id, this.name, n, `part ${part}`]);
      }
      await tx.exec("DELETE FROM notes WHERE writer = ? AND n = ?", [this.name, n - KEPT]);
      await tx.exec(
        adds
          ? `UPDATE tallies SET n = n + ?, tags = json_insert(tags, '$[#]', ?) WHERE id = ?`
          : `UPDATE tallies SET n = n + ?, tags =
             (SELECT json_group_array(value) FROM json_each(tags) WHERE value <> ?) WHERE id = ?`,
        [amount, tag, `t${i}`],
      );
    });
    this.written = n;
    tally.n += amount;
    if (adds) tally.tags.add(tag);
    else tally.tags.delete(tag);
  }

  /**
   * Writes until {@linkcode Writer.stop}.
   *
   * @param everyMs the mean time between two transactions, in milliseconds
   * @param maxPending with so many transactions that no checkpoint contains yet it waits
   */
  start(everyMs: number, maxPending: number = Infinity): void {
    const { promise: stopped, resolve } = Promise.withResolvers<"stopped">();
    this.#stop = () => resolve("stopped");
    this.#loop = (async () => {
      while (await pause(Math.random() * 2 * everyMs, stopped) !== "stopped") {
        if (this.client.status.value.pending < maxPending) await this.write();
      }
    })();
  }

  /** Ends after the transaction that is under way. */
  async stop(): Promise<void> {
    this.#stop?.();
    await this.#loop;
  }
}

/**
 * Opens writers, makes the rows that everybody counts in, and waits until all have them.
 *
 * @param site where
 * @param count how many
 * @param environment what their clients get in place of the runtime's clock, timers and network
 */
export async function openWriters(
  site: Site,
  count: number,
  environment: Partial<ClientEnvironment> = {},
): Promise<Writer[]> {
  const writers: Writer[] = [];
  site.before(() => stopAll(writers));
  for (let i = 0; i < count; i++) {
    const name = `w${i}`;
    const client = await site.client(name, environment);
    if (i === 0) await seedTallies(client);
    writers.push(new Writer(name, client));
  }
  for (const { client } of writers) {
    await until("the tallies", async () => {
      const [row] = await client.query("SELECT count(*) AS n FROM tallies");
      return row?.["n"] === TALLIES;
    });
    await synced(client);
  }
  return writers;
}

/** Stops writers after the transactions that are under way. */
export async function stopAll(writers: readonly Writer[]): Promise<void> {
  await Promise.all(writers.map((writer) => writer.stop()));
}

async function pause<T>(ms: number, sooner: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promise, sooner]);
  } finally {
    clearTimeout(timer);
  }
}
