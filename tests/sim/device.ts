/**
 * A device of a run: one SQLite file, one user, and an app that opens the real client on it, writes,
 * reads, crashes and starts again.
 *
 * @module
 */

import { type Client, createClient, type SchemaSpec } from "@lakesync/client";
import { type DeviceDisk, deviceDriver } from "./driver.ts";
import { EPOCH_MS } from "./globals.ts";
import type { ListRead, TableRows, TxName } from "./history.ts";
import type { Kernel } from "./kernel.ts";
import { GOOD, Link } from "./link.ts";
import type { Host, Network } from "./network.ts";
import { Process } from "./process.ts";
import type { Recorder } from "./recorder.ts";
import { writeToken } from "./server.ts";
import {
  isBoss,
  LISTED,
  makeTransaction,
  SCHEMAS,
  type SqlStatement,
  type Transaction,
} from "./workload.ts";

/** Where a device is and what it is about. */
export interface DeviceSettings {
  readonly kernel: Kernel;
  readonly network: Network;
  readonly recorder: Recorder;
  readonly name: string;
  readonly user: string;
  readonly gateway: string;
  readonly host: () => Host;
  /** The folder of the run. */
  readonly folder: string;
  /** How long its tokens last, in milliseconds. */
  readonly tokenMs: number;
  /** Days for which accepted transactions are kept; as many as by default unless given. */
  readonly keepAcceptedDays?: number;
}

const FILES = ["", "-wal", "-shm"];

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function removeDatabase(path: string): void {
  for (const end of FILES) if (exists(path + end)) Deno.removeSync(path + end);
}

/** Copies a database as it is on the disk; what was at the other path goes whole. */
function copyDatabase(from: string, to: string): void {
  removeDatabase(to);
  for (const end of FILES.slice(0, 2)) {
    if (exists(from + end)) Deno.copyFileSync(from + end, to + end);
  }
}

function joins(list: string, user: string): SqlStatement {
  return {
    sql: "INSERT INTO members (id, list, user) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    params: [`${list}:${user}`, list, user],
  };
}

/** A device. */
export class Device {
  /** Its name; transactions are named by it. */
  readonly name: string;
  /** Its user. */
  readonly user: string;
  /** What lies between it and the server. */
  readonly link: Link;
  /** Its disk. */
  readonly disk: DeviceDisk = { full: false };
  /** How far its clock is ahead of the true time, in milliseconds. */
  skewMs = 0;
  /** The version of the app's schema. */
  version = 1;
  /** Whether the app's backend gives no tokens. */
  tokensFail = false;
  /** Whether another device began with a copy of its database, or it with one of another's. */
  hasTwin = false;
  /** How many transactions it has begun. */
  written = 0;
  /** Those it has committed. */
  readonly committed: Set<TxName> = new Set();
  readonly #settings: DeviceSettings;
  #process: Process | undefined;
  /** How many writes of the app are under way in a process. */
  readonly #writing = new WeakMap<Process, number>();
  #client: Client | undefined;
  #file = 0;
  #elements = 0;
  /** Transactions that were copied with its database: own ones of the devices that wrote them. */
  #inherited: ReadonlySet<TxName> = new Set();
  /** Counts databases, each a life of its own: a list has one writer, who never goes back. */
  #life = 0;

  /** @param settings where it is and what it is about */
  constructor(settings: DeviceSettings) {
    this.#settings = settings;
    this.name = settings.name;
    this.user = settings.user;
    this.link = new Link(settings.kernel);
    this.link.quality = GOOD;
  }

  /** Its clock, in milliseconds since 1970. */
  readonly clock = (): number => Math.floor(EPOCH_MS + this.#settings.kernel.nowMs + this.skewMs);

  /** The process that runs, if one does. */
  get process(): Process | undefined {
    return this.#process;
  }

  /** The client, while it is open. */
  get client(): Client | undefined {
    return this.#process?.alive === true ? this.#client : undefined;
  }

  /** The file that its database is in now. */
  get path(): string {
    return `${this.#settings.folder}/${this.name}-${this.#file}.db`;
  }

  #schema(): SchemaSpec {
    return this.version === 1 ? SCHEMAS[0] : SCHEMAS[1];
  }

  #token(): string {
    if (this.tokensFail) throw new Error("The app's backend is away");
    const { kernel, tokenMs } = this.#settings;
    return writeToken({
      sub: this.user,
      role: "client",
      endsMs: EPOCH_MS + kernel.nowMs + tokenMs,
      claims: { boss: isBoss(this.user) },
    });
  }

  /** Starts the app, if it does not run. */
  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    const { kernel, network, host, gateway, keepAcceptedDays } = this.#settings;
    const process = new Process(kernel);
    this.#process = process;
    const client = await createClient({
      url: "http://gateway",
      gateway,
      database: this.path,
      schema: this.#schema(),
      getToken: () => this.#token(),
      watchMs: 0,
      driver: deviceDriver(process, this.disk, kernel.random),
      verifyEveryMs: 60_000,
      ...(keepAcceptedDays === undefined ? {} : { keepAcceptedDays }),
      environment: {
        now: this.clock,
        random: () => kernel.random.below(2 ** 32) / 2 ** 32,
        setTimer: process.timer,
        fetch: network.fetcher(this.link, process, host),
        openSocket: (url, protocols) =>
          network.open(this.link, process, host(), url, protocols).client as unknown as WebSocket,
      },
    });
    if (this.#process === process) this.#client = client;
  }

  /** Ends the app at once. */
  crash(): void {
    this.#process?.end();
    this.#process = undefined;
    this.#client = undefined;
  }

  /** Closes the app in order. */
  async stop(): Promise<void> {
    const process = this.#process;
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
    process?.end();
    if (this.#process === process) this.#process = undefined;
  }

  /** Copies the database; the app must not be in a transaction. Gives where the copy is. */
  copyTo(path: string): void {
    copyDatabase(this.path, path);
  }

  /** Goes on with another database: a copy of one, or a new one. The app must not run. */
  replaceBy(path: string | undefined): void {
    this.remove();
    this.#file++;
    this.#life++;
    if (path !== undefined) copyDatabase(path, this.path);
  }

  /** Removes the database. */
  remove(): void {
    removeDatabase(this.path);
  }

  /** Whether its app is about to write, or in a transaction. */
  get isWriting(): boolean {
    return this.#process !== undefined && (this.#writing.get(this.#process) ?? 0) > 0;
  }

  /** Runs one random transaction of the app. Resolves when it has; never when the app ends first. */
  async write(): Promise<void> {
    await this.#writes(() => this.#write());
  }

  async #writes<T>(work: () => Promise<T>): Promise<T> {
    const process = this.#process;
    if (process === undefined) return await work();
    const count = (by: number) =>
      this.#writing.set(process, (this.#writing.get(process) ?? 0) + by);
    count(1);
    try {
      return await work();
    } finally {
      count(-1);
    }
  }

  async #write(): Promise<void> {
    const { recorder, kernel } = this.#settings;
    const { random } = kernel;
    const client = this.client;
    if (client === undefined) return;
    const list = await this.#pickList(client);
    if (list === undefined) return;
    const seen = await client.query("SELECT id FROM marks");
    const reads = await this.#readElements(client);
    const tx = `${this.name}.${++this.written}`;
    const append = random.chance(0.3)
      ? { key: `${this.name}-${this.#life}-${list}`, element: ++this.#elements }
      : undefined;
    const transaction = makeTransaction(random, tx, this.user, list, append);
    const { writes, appends } = transaction;
    recorder.add({ kind: "begin", tx, device: this.name, user: this.user, list, writes, appends });
    try {
      await this.#run(client, transaction);
    } catch {
      recorder.add({ kind: "abort", tx, device: this.name });
      return;
    }
    this.committed.add(tx);
    const saw = seen.map(({ id }) => String(id));
    recorder.add({ kind: "commit", tx, device: this.name, saw, reads });
  }

  /** Makes a list with members, the boss among them. Gives whether that was committed. */
  async makeList(list: string, members: readonly string[]): Promise<boolean> {
    const statements = [this.user, ...members].map((user) => joins(list, user));
    statements.push({
      sql: "INSERT INTO lists (id, name) VALUES (?1, ?1) ON CONFLICT DO NOTHING",
      params: [list],
    });
    return await this.#writes(() => this.#administer(list, statements));
  }

  /** Puts a user on a list, or takes it off. */
  async changeMembers(list: string, user: string): Promise<void> {
    await this.#writes(() => this.#changeMembers(list, user));
  }

  async #changeMembers(list: string, user: string): Promise<void> {
    const client = this.client;
    if (client === undefined) return;
    const id = `${list}:${user}`;
    const [row] = await client.query("SELECT 1 FROM members WHERE id = ?", [id]);
    const leaves = { sql: "DELETE FROM members WHERE id = ?", params: [id] };
    await this.#administer(list, [row === undefined ? joins(list, user) : leaves]);
  }

  async #administer(list: string, before: readonly SqlStatement[]): Promise<boolean> {
    const client = this.client;
    if (client === undefined) return false;
    const { recorder, kernel } = this.#settings;
    const seen = await client.query("SELECT id FROM marks");
    const tx = `${this.name}.${++this.written}`;
    const made = makeTransaction(kernel.random, tx, this.user, list, undefined);
    const { writes, appends } = made;
    recorder.add({ kind: "begin", tx, device: this.name, user: this.user, list, writes, appends });
    try {
      await client.transaction(async (sql) => {
        for (const { sql: text, params } of [...before, ...made.statements]) {
          await sql.exec(text, params);
        }
      });
    } catch {
      recorder.add({ kind: "abort", tx, device: this.name });
      return false;
    }
    this.committed.add(tx);
    const saw = seen.map(({ id }) => String(id));
    recorder.add({ kind: "commit", tx, device: this.name, saw, reads: [] });
    return true;
  }

  async #run(client: Client, { statements }: Transaction): Promise<void> {
    const { kernel } = this.#settings;
    const slow = kernel.random.chance(0.1);
    const fails = kernel.random.chance(0.03);
    await client.transaction(async (sql) => {
      for (const { sql: text, params } of statements) {
        await sql.exec(text, params);
        if (slow) await this.#process?.pause(kernel.random.below(500));
      }
      if (fails) throw new Error("The app changed its mind");
    });
  }

  async #pickList(client: Client): Promise<string | undefined> {
    const { random } = this.#settings.kernel;
    const others = random.chance(0.05);
    const rows = others
      ? await client.query("SELECT id AS list FROM lists ORDER BY id")
      : await client.query("SELECT list FROM members WHERE user = ? ORDER BY list", [this.user]);
    return rows.length === 0 ? undefined : String(random.pick(rows)["list"]);
  }

  async #readElements(client: Client): Promise<ListRead[]> {
    const rows = await client.query("SELECT key, el FROM items ORDER BY key, el");
    const byKey = Map.groupBy(rows, ({ key }) => String(key));
    return [...byKey].map(([key, found]) => ({ key, elements: found.map(({ el }) => Number(el)) }));
  }

  /** Reads what the app sees, in one statement, and writes it down. */
  async read(): Promise<void> {
    const { recorder } = this.#settings;
    const client = this.client;
    if (client === undefined) return;
    const rows = await client.query(
      "SELECT 'm' AS kind, id, list, author, NULL AS el FROM marks UNION ALL " +
        "SELECT 't', id, list, author, NULL FROM twins UNION ALL " +
        "SELECT 'i', key, list, NULL, el FROM items ORDER BY 1, 2, 5",
    );
    if (this.client !== client) return;
    const names = (kind: string) =>
      rows.filter((row) => row["kind"] === kind).map(({ id }) => String(id));
    const lists = rows.filter(({ kind, author }) => kind === "m" && author !== this.user);
    const items = Map.groupBy(rows.filter(({ kind }) => kind === "i"), ({ id }) => String(id));
    recorder.add({
      kind: "read",
      device: this.name,
      user: this.user,
      marks: names("m"),
      twins: names("t"),
      lists: [...new Set(lists.map(({ list }) => String(list)))],
      pending: [...new Set([...this.unsettled(), ...this.#inherited])],
      elements: [...items].map(([key, found]) => ({
        key,
        elements: found.map(({ el }) => Number(el)),
      })),
    });
  }

  /** Transactions in this database that no answer has settled: its own, and those copied with it. */
  unsettled(): readonly TxName[] {
    const { recorder } = this.#settings;
    const own = `${this.name}.`;
    return recorder.begun.filter((tx) =>
      (tx.startsWith(own) || this.#inherited.has(tx)) &&
      !recorder.acknowledged.has(tx) && !recorder.refused.has(tx)
    );
  }

  /** Begins with a copy of another device's database. */
  inherit(from: Device): void {
    from.copyTo(this.path);
    from.hasTwin = this.hasTwin = true;
    this.#inherited = new Set([...from.committed, ...from.#inherited]);
  }

  /** Transactions that its app was told were refused; the app dismisses none. */
  async letters(client: Client): Promise<readonly TxName[]> {
    return (await client.deadLetters()).flatMap(({ changes }) =>
      changes.filter(({ table }) => table === "marks").map(({ rowId }) => rowId)
    );
  }

  /** What the app's tables hold, without keys and nulls. */
  async tables(client: Client): Promise<TableRows> {
    const tables: Record<string, Record<string, Record<string, unknown>>> = {};
    for (const table of [...LISTED, "lists", "members"]) {
      const rows: Record<string, Record<string, unknown>> = {};
      for (const { id, ...cells } of await client.query(`SELECT * FROM ${table} ORDER BY id`)) {
        const row: Record<string, unknown> = {};
        for (const [name, value] of Object.entries(cells)) {
          if (value === null) continue;
          row[name] = name === "tags" ? JSON.parse(String(value)).sort() : value;
        }
        rows[String(id)] = row;
      }
      tables[table] = rows;
    }
    return tables;
  }
}
