/**
 * Runs the code blocks of README.md and docs, so that what users copy works. The rules:
 *
 * - A `ts` block is a whole program. It is type-checked and runs with the workspace's imports in
 *   an empty folder of its own.
 * - A `sh run` block is a bash script, in such a folder too. Other `sh` blocks are only read.
 * - A block that names port 8787 finds a gateway of its own there: the port is replaced by a free
 *   one, the gateway's data is in `./lakesync-data`, and TOKEN in the environment is a token for
 *   it with the role admin.
 *
 * A block fails when it ends with another code than 0, when a `console.assert` does not hold, or
 * after a minute.
 *
 * @module
 */

import { listFiles, readText, ROOT } from "./files.ts";
import { startGateway } from "./gateway.ts";
import { type Outcome, run, sumOf } from "./process.ts";

const TIMEOUT_MS = 60_000;
const PORT = "8787";

/** A block that is run. */
export interface Snippet {
  /** What runs it. */
  readonly language: "ts" | "sh";
  /** The line of the file at which its code begins, from 1. */
  readonly line: number;
  /** Its text. */
  readonly code: string;
}

/**
 * Finds the blocks that are run.
 *
 * @param markdown a text
 * @returns its `ts` and `sh run` blocks, in order
 */
export function snippetsOf(markdown: string): Snippet[] {
  const snippets: Snippet[] = [];
  const fence = /^([ \t]*)(`{3,})([^\n`]*)\n([\s\S]*?)^\1\2`*[ \t]*$/gm;
  for (const match of markdown.matchAll(fence)) {
    const [, indent = "", , info = "", body = ""] = match;
    const kind = info.trim();
    if (kind !== "ts" && kind !== "sh run") continue;
    const code = body.split("\n")
      .map((line) => line.startsWith(indent) ? line.slice(indent.length) : line)
      .join("\n");
    const line = markdown.slice(0, match.index).split("\n").length + 1;
    snippets.push({ language: kind === "ts" ? "ts" : "sh", line, code });
  }
  return snippets;
}

/**
 * Runs one block.
 *
 * @param snippet the block
 * @param place what to call it when it fails
 * @returns one passed or one failed
 */
export async function runSnippet(snippet: Snippet, place: string): Promise<Outcome> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-snippet-" });
  try {
    await using gateway = snippet.code.includes(PORT) ? await startGateway(folder) : undefined;
    // The repository asks exports for types, which a user's file need not have.
    const code = snippet.code.replaceAll(PORT, String(gateway?.port))
      .replace(/^export default (\w+);$/m, "void $1;");
    const file = `${folder}/snippet.${snippet.language}`;
    await Deno.writeTextFile(file, code);
    const command = snippet.language === "sh" ? ["bash", "-euo", "pipefail", file] : [
      Deno.execPath(),
      "run",
      "-A",
      "--check",
      "--frozen",
      "--config",
      new URL("deno.json", ROOT).pathname,
      file,
    ];
    const { success, output } = await run(command, {
      cwd: folder,
      env: gateway === undefined ? {} : { TOKEN: gateway.token },
      timeoutMs: TIMEOUT_MS,
    });
    const good = success && !/^Assertion failed/m.test(output);
    return { passed: good ? 1 : 0, failed: good ? 0 : 1, output: `${place}\n${output}` };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Runs all blocks of README.md and docs.
 *
 * @returns one check for each block
 */
export async function runSnippets(): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const path of await listFiles("README.md", "docs/*.md", "docs/**/*.md")) {
    for (const snippet of snippetsOf(await readText(path))) {
      outcomes.push(await runSnippet(snippet, `${path}:${snippet.line}`));
    }
  }
  return sumOf(outcomes);
}
