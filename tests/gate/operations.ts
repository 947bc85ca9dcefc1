/**
 * `deno task docs:operations`: writes the tables of docs/operations.md anew, each between two
 * comments that name it. A test says when that was forgotten.
 *
 * @module
 */

import { readText, ROOT } from "./files.ts";
import {
  alerts,
  auditActions,
  errors,
  exits,
  files,
  flags,
  limits,
  metrics,
  probes,
} from "./operations_tables.ts";

/** The page. */
export const PAGE = "docs/operations.md";

/** What makes each table, by the name in its comments. */
export const TABLES: Readonly<Record<string, () => string | Promise<string>>> = {
  probes,
  flags,
  limits,
  metrics,
  alerts,
  errors,
  "audit actions": auditActions,
  "data folder": files,
  "exit codes": exits,
};

const BLOCK = /<!-- table: ([\w ]+) -->\n[\s\S]*?<!-- end of table -->/g;

/**
 * Fills a page's tables.
 *
 * @param page a text with a pair of comments for each table
 * @returns the text with the tables as they are now
 * @throws {Error} when the page asks for an unknown table, or lacks one
 */
export async function fill(page: string): Promise<string> {
  const named = [...page.matchAll(BLOCK)].map(([, name = ""]) => name);
  const made = new Map<string, string>();
  for (const name of named) {
    const make = TABLES[name];
    if (make === undefined || made.has(name)) throw new Error(`${PAGE} asks for ${name}`);
    made.set(name, `<!-- table: ${name} -->\n\n${await make()}\n\n<!-- end of table -->`);
  }
  const missing = Object.keys(TABLES).filter((name) => !made.has(name));
  if (missing.length > 0) throw new Error(`${PAGE} lacks ${missing.join(", ")}`);
  return await format(page.replace(BLOCK, (block, name: string) => made.get(name) ?? block));
}

/** The text as `deno fmt` has it. */
async function format(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL(PAGE, ROOT), await fill(await readText(PAGE)));
}
