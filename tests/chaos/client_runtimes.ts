/**
 * The device's program under Node and Bun, on the packages as npm installs them.
 *
 * @module
 */

import { run } from "../gate/process.ts";
import { packAll } from "../interop/pack.ts";
import { type Command, DENO } from "./client_support.ts";

/** Runtimes from npm, so that any machine has them. */
const RUNTIMES = {
  node: { dependency: "npm:node@24", bin: "node_modules/node24/bin/node", as: "node24" },
  bun: { dependency: "1", bin: "node_modules/bun/bin/bun.exe", as: "bun" },
} as const;

const PROGRAM = ["client_program.ts", "client_workload.ts"];

/**
 * Installs Node, Bun and the packages.
 *
 * @param folder where to, an empty one
 * @returns how the program is run under each runtime
 * @throws {Error} with what npm printed
 */
export async function installRuntimes(
  folder: string,
): Promise<Readonly<Partial<Record<string, Command>>>> {
  const entries = Object.values(RUNTIMES);
  const manifest = {
    private: true,
    type: "module",
    dependencies: Object.fromEntries(entries.map(({ as, dependency }) => [as, dependency])),
    allowScripts: { node: true, bun: true },
  };
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest));
  await Deno.mkdir(`${folder}/tarballs`);
  const tarballs = await packAll(`${folder}/tarballs`, ["core", "client"]);
  const { success, output } = await run(
    ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...tarballs],
    { cwd: folder },
  );
  if (!success) throw new Error(`npm install failed: ${output}`);
  for (const name of PROGRAM) {
    await Deno.copyFile(new URL(name, import.meta.url), `${folder}/${name}`);
  }
  const program = `${folder}/${PROGRAM[0]}`;
  return {
    deno: DENO,
    node: [`${folder}/${RUNTIMES.node.bin}`, program],
    bun: [`${folder}/${RUNTIMES.bun.bin}`, program],
  };
}
