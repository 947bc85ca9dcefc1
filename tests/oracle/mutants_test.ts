import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, MUTANTS } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the oracle needs of the repository. */
const NEEDED = ["core", "server", "adapters", "client", "tests/oracle", "deno.json", "deno.lock"];
const SEEDS = 500;

async function copy(from: string, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    await Deno.mkdir(dirname(to), { recursive: true });
    return await Deno.copyFile(from, to);
  }
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), join(to, name));
}

/** Makes the mistake; what is there is given back by what it returns. */
async function make(folder: string, { name, changes }: Mutant): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  for (const { file, find, replace } of changes) {
    const path = join(folder, file);
    const text = await Deno.readTextFile(path);
    if (text.split(find).length !== 2) {
      throw new Error(`"${name}" no longer fits ${file}, where this must be once:\n${find}`);
    }
    await Deno.writeTextFile(path, text.replace(find, () => replace));
    undo.unshift(() => Deno.writeTextFile(path, text));
  }
  return async () => {
    for (const step of undo) await step();
  };
}

async function oracle(folder: string): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "tests/oracle/main.ts",
      "--until-failure",
      "--seeds",
      `${SEEDS}`,
    ],
    cwd: folder,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test(`the oracle finds each of ${MUTANTS.length} mistakes within ${SEEDS} seeds`, async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-mutants-" });
  try {
    for (const path of NEEDED) await copy(join(ROOT, path), join(folder, path));
    for (const mutant of MUTANTS) {
      await t.step(mutant.name, async () => {
        const undo = await make(folder, mutant);
        const { code, text } = await oracle(folder);
        await undo();
        // 1: found; anything else is a copy that does not run or a mistake that nobody noticed.
        if (code !== 1 || !text.includes("deno task oracle --seed")) {
          throw new Error(`Not found (exit ${code}):\n${text.slice(-2_000)}`);
        }
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
