import { copySources, makeMistake, runIn } from "../mutation/copy.ts";
import { MUTANTS } from "./mutants.ts";

/** What the oracle needs of the repository. */
const NEEDED = ["core", "server", "adapters", "client", "tests/oracle", "deno.json", "deno.lock"];
const SEEDS = 500;
const ORACLE = ["tests/oracle/main.ts", "--until-failure", "--seeds", `${SEEDS}`];

Deno.test(`the oracle finds each of ${MUTANTS.length} mistakes within ${SEEDS} seeds`, async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-mutants-" });
  try {
    await copySources(folder, NEEDED);
    for (const mutant of MUTANTS) {
      await t.step(mutant.name, async () => {
        const undo = await makeMistake(folder, mutant);
        const { code, text } = await runIn(folder, ORACLE);
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
