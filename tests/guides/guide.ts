/**
 * The SQL of a guide, to be run on a real server. A block `sql <name>` is run by the tests of its
 * guide; one without a name, or with a name that no test asks for, fails them.
 *
 * @module
 */

import { ROOT } from "../gate/files.ts";
import { openSession } from "../servers/testing_sql.ts";

/** What stands in a guide for other names and values, by what it is replaced with. */
type Replace = Readonly<Record<string, string>>;

/** A guide. */
export class Guide {
  /** Its text. */
  readonly text: string;
  readonly #blocks: ReadonlyMap<string, readonly string[]>;
  readonly #asked = new Set<string>();

  private constructor(text: string) {
    this.text = text;
    this.#blocks = blocksOf(text);
  }

  /**
   * Reads a guide.
   *
   * @param path its path from the root of the workspace
   * @throws {Error} when a block has no name, or two have the same
   */
  static async read(path: string): Promise<Guide> {
    return new Guide(await Deno.readTextFile(new URL(path, ROOT)));
  }

  /** The names of all blocks. */
  get names(): readonly string[] {
    return [...this.#blocks.keys()];
  }

  /** The names of those that nobody asked for. */
  get unasked(): readonly string[] {
    return this.names.filter((name) => !this.#asked.has(name));
  }

  /**
   * The statements of a block.
   *
   * @param name the block
   * @param replace what stands for other names and values, by what it is replaced with
   * @throws {Error} when there is no such block, or it lacks what is to be replaced
   */
  statements(name: string, replace: Replace = {}): readonly string[] {
    const statements = this.#blocks.get(name);
    if (statements === undefined) throw new Error(`The guide has no block ${name}`);
    this.#asked.add(name);
    return replaced(name, statements.join("\0"), replace).split("\0");
  }

  /**
   * A program of the guide, a block `ts <name>`.
   *
   * @param name the block
   * @param replace what stands for other names and values, by what it is replaced with
   * @throws {Error} when there is no such block, or it lacks what is to be replaced
   */
  program(name: string, replace: Replace = {}): string {
    const [, code] = new RegExp(`^\`\`\`ts ${name}\n([^]*?)^\`\`\`$`, "m").exec(this.text) ?? [];
    if (code === undefined) throw new Error(`The guide has no program ${name}`);
    return replaced(name, code, replace);
  }

  /**
   * Runs a block, each statement by itself.
   *
   * @param url the database, with the user who is to run it
   * @param name the block
   * @param replace what stands for other names and values, by what it is replaced with
   * @returns the rows of its last statement
   */
  async run(
    url: string,
    name: string,
    replace: Replace = {},
  ): Promise<Record<string, unknown>[]> {
    await using session = await openSession(url);
    let rows: Record<string, unknown>[] = [];
    for (const statement of this.statements(name, replace)) rows = await session.query(statement);
    return rows;
  }
}

function replaced(name: string, text: string, replace: Replace): string {
  const lacking = Object.keys(replace).find((from) => !text.includes(from));
  if (lacking !== undefined) throw new Error(`Block ${name} does not have ${lacking}`);
  return Object.entries(replace).reduce((text, [from, to]) => text.replaceAll(from, to), text);
}

/**
 * Finds the named blocks of a text.
 *
 * @param markdown the text
 * @returns their statements by their names
 * @throws {Error} when a block has no name, or two have the same
 */
export function blocksOf(markdown: string): ReadonlyMap<string, readonly string[]> {
  const blocks = new Map<string, readonly string[]>();
  for (
    const [, name = "", body = ""] of markdown.matchAll(/^ *```sql *(.*)\n([\s\S]*?)^ *```$/gm)
  ) {
    if (name === "" || blocks.has(name)) throw new Error(`A block of SQL is named "${name}"`);
    blocks.set(name, statementsOf(body));
  }
  return blocks;
}

/** Statements end at a semicolon at the end of a line, but not within `$$`. */
function statementsOf(body: string): readonly string[] {
  const statements: string[] = [];
  let statement = "";
  for (const line of body.split("\n")) {
    statement += `${line}\n`;
    const isOpen = (statement.split("$$").length - 1) % 2 === 1;
    if (isOpen || !line.endsWith(";")) continue;
    statements.push(statement.trim());
    statement = "";
  }
  if (statement.trim() !== "") throw new Error(`A statement has no end: ${statement.trim()}`);
  return statements;
}

/**
 * An address for another user or database.
 *
 * @param url an address
 * @param to what is other
 */
export function addressOf(
  url: string,
  to: { readonly user?: string; readonly password?: string; readonly database?: string },
): string {
  const other = new URL(url);
  if (to.user !== undefined) other.username = to.user;
  if (to.password !== undefined) other.password = to.password;
  if (to.database !== undefined) other.pathname = `/${to.database}`;
  return other.href;
}
