/**
 * What the user of one device does on a simulated day: about one transaction a minute, each with new
 * rows, deletions, keys that come and go, another's row, a counter and a set.
 *
 * @module
 */

import type { Client } from "@lakesync/client";
import type { Random } from "../oracle/random.ts";
import type { DayModel } from "./day_model.ts";
import type { Device } from "./device.ts";
import type { SqlStatement } from "./workload.ts";

/** How many rows of its own a device keeps; the oldest goes when there are more. */
const KEPT_ROWS = 20;

/** How many keys of a device are deleted and inserted again and again. */
const RECYCLED = 4;

/** A statement, and what it means for what is expected. */
interface Step extends SqlStatement {
  readonly done: () => void;
}

/** The user of a device. */
export class DayWork {
  /** The lists it is on. */
  readonly lists: readonly string[];
  readonly #device: Device;
  readonly #model: DayModel;
  readonly #random: Random;
  readonly #fresh: string[] = [];
  #made = 0;
  #transactions = 0;

  /**
   * @param device the device
   * @param lists the lists its user is on
   * @param model told of what was committed
   * @param random chance
   */
  constructor(device: Device, lists: readonly string[], model: DayModel, random: Random) {
    this.#device = device;
    this.lists = lists;
    this.#model = model;
    this.#random = random;
  }

  /** Whether it has all the lists. */
  async isReady(client: Client): Promise<boolean> {
    const [row] = await client.query("SELECT count(*) AS n FROM tallies");
    return row?.["n"] === this.lists.length;
  }

  /** Runs one transaction, if the app runs and has its lists. */
  async write(): Promise<void> {
    const { client } = this.#device;
    if (client === undefined || !(await this.isReady(client))) return;
    const steps = this.#plan();
    await client.transaction(async (sql) => {
      for (const { sql: text, params } of steps) await sql.exec(text, params);
    });
    for (const { done } of steps) done();
    this.#model.transactions++;
    if (this.#random.chance(0.5)) await this.#meddle(client);
    for (const { id } of await client.deadLetters()) {
      await client.dismiss(id);
      this.#model.refused++;
    }
  }

  #plan(): readonly Step[] {
    const random = this.#random;
    const list = random.pick(this.lists);
    const tx = `${this.#device.name}.${++this.#transactions}`;
    const steps = [this.#insert(`${this.#device.name}-f${++this.#made}`, list, tx)];
    this.#fresh.push(`${this.#device.name}-f${this.#made}`);
    if (this.#fresh.length > KEPT_ROWS) steps.push(this.#delete(this.#fresh.shift() ?? ""));
    if (random.chance(0.5)) steps.push(this.#recycle(tx));
    if (random.chance(0.3)) steps.push(this.#correct(tx));
    if (random.chance(0.5)) steps.push(this.#count(list));
    if (random.chance(0.3)) steps.push(this.#tag(list));
    return steps;
  }

  #insert(id: string, list: string, a: string): Step {
    return {
      sql: "INSERT INTO regs (id, list, a) VALUES (?, ?, ?)",
      params: [id, list, a],
      done: () => this.#model.put(id, { list, a }),
    };
  }

  #delete(id: string): Step {
    const sql = "DELETE FROM regs WHERE id = ?";
    return { sql, params: [id], done: () => this.#model.remove(id) };
  }

  #recycle(tx: string): Step {
    const number = this.#random.below(RECYCLED);
    const id = `${this.#device.name}-p${number}`;
    const list = this.lists[number % this.lists.length] ?? "";
    return this.#model.rows.has(id) ? this.#delete(id) : this.#insert(id, list, tx);
  }

  /**
   * Writes to a row of anybody, who may have deleted it: then the gateway refuses, since it does not
   * know any more whose list the row was in. So this is a transaction of its own.
   */
  async #meddle(client: Client): Promise<void> {
    const random = this.#random;
    const [row] = await client.query(
      "SELECT id FROM regs WHERE list = ?1 ORDER BY id LIMIT 1 OFFSET " +
        "(SELECT ?2 % max(1, count(*)) FROM regs WHERE list = ?1)",
      [random.pick(this.lists), random.below(1_000)],
    );
    if (row === undefined) return;
    const tx = `${this.#device.name}.${++this.#transactions}`;
    await client.exec("UPDATE regs SET b = ? WHERE id = ?", [tx, String(row["id"])]);
    this.#model.transactions++;
  }

  #correct(a: string): Step {
    const id = this.#random.pick(this.#fresh);
    const sql = "UPDATE regs SET a = ? WHERE id = ?";
    const done = () => {
      const row = this.#model.rows.get(id);
      if (row !== undefined) this.#model.put(id, { ...row, a });
    };
    return { sql, params: [a, id], done };
  }

  #count(list: string): Step {
    const by = this.#random.between(-9, 9);
    const sql = "UPDATE tallies SET n = n + ? WHERE list = ?";
    return { sql, params: [by, list], done: () => this.#model.increment(list, by) };
  }

  #tag(list: string): Step {
    const element = this.#device.name;
    const sql = this.#model.elements.get(list)?.has(element)
      ? "UPDATE bags SET tags = (SELECT json_group_array(value) FROM json_each(tags) " +
        "WHERE value <> ?) WHERE list = ?"
      : "UPDATE bags SET tags = json_insert(tags, '$[#]', ?) WHERE list = ?";
    const done = () => this.#model.toggle(list, element);
    return { sql, params: [element, list], done };
  }
}

/**
 * What makes a list, with those who are on it.
 *
 * @param list its name
 * @param users those on it
 */
export function listStatements(list: string, users: readonly string[]): readonly SqlStatement[] {
  return [
    ...users.map((user) => ({
      sql: "INSERT INTO members (id, list, user) VALUES (?, ?, ?)",
      params: [`${list}:${user}`, list, user],
    })),
    { sql: "INSERT INTO lists (id, name) VALUES (?1, ?1)", params: [list] },
    { sql: "INSERT INTO tallies (id, list, n) VALUES (?1, ?1, 0)", params: [list] },
    { sql: "INSERT INTO bags (id, list, tags) VALUES (?1, ?1, '[]')", params: [list] },
  ];
}
