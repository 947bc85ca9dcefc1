/**
 * The packages under Node and Bun: packs every member, installs the tarballs with npm in an empty
 * project, compiles `consumer.ts` there with tsc, and runs each program of `programs/` under Node 22,
 * Node 24 and Bun, with a real gateway process to talk to. Ends with one line `N passed, N failed`.
 *
 * @module
 */

import { startGateway } from "../gate/gateway.ts";
import { type Ran, run } from "../gate/process.ts";
import { packAll } from "./pack.ts";

const PROGRAMS = new URL("programs/", import.meta.url);
const TIMEOUT_MS = 60_000;

/** Each runtime comes from npm, so that any machine has it. */
const RUNTIMES: Readonly<Record<string, { readonly dependency: string; readonly bin: string }>> = {
  node22: { dependency: "npm:node@22", bin: "node_modules/node22/bin/node" },
  node24: { dependency: "npm:node@24", bin: "node_modules/node24/bin/node" },
  bun: { dependency: "1", bin: "node_modules/bun/bin/bun.exe" },
};

const TYPESCRIPT = "~5.9.3";
const TSC = [
  "node_modules/node24/bin/node",
  "node_modules/typescript/bin/tsc",
  "--noEmit",
  "--strict",
  "--exactOptionalPropertyTypes",
  "--target",
  "esnext",
  "--module",
  "nodenext",
  "consumer.ts",
];

async function install(folder: string): Promise<void> {
  const dependencies = Object.fromEntries(
    Object.entries(RUNTIMES).map(([name, { dependency }]) => [name, dependency]),
  );
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...dependencies, typescript: TYPESCRIPT },
    allowScripts: { node: true, bun: true },
  };
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest));
  await Deno.mkdir(`${folder}/tarballs`);
  const tarballs = await packAll(`${folder}/tarballs`);
  const { success, output } = await run(
    ["npm", "install", "--no-audit", "--no-fund", ...tarballs],
    { cwd: folder },
  );
  if (!success) throw new Error(`npm install failed: ${output}`);
}

/** Copies the programs next to the installed packages. */
async function copyPrograms(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(PROGRAMS)) {
    await Deno.copyFile(new URL(name, PROGRAMS), `${folder}/${name}`);
    names.push(name);
  }
  return names.sort();
}

function report(name: string, { success, output }: Ran): boolean {
  console.log(`${name}: ${success ? "ok" : "failed"}`);
  if (!success) console.log(output.trimEnd());
  return success;
}

async function compileConsumer(folder: string): Promise<boolean> {
  await Deno.copyFile(new URL("consumer.ts", import.meta.url), `${folder}/consumer.ts`);
  const [node = "", ...args] = TSC;
  return report("tsc consumer.ts", await run([`${folder}/${node}`, ...args], { cwd: folder }));
}

async function runProgram(folder: string, runtime: string, program: string): Promise<boolean> {
  const own = await Deno.makeTempDir({ dir: folder });
  await using gateway = await startGateway(own);
  const bin = `${folder}/${RUNTIMES[runtime]?.bin}`;
  const ran = await run([bin, `${folder}/${program}`], {
    cwd: own,
    env: { LAKESYNC_URL: `http://127.0.0.1:${gateway.port}`, TOKEN: gateway.token },
    timeoutMs: TIMEOUT_MS,
  });
  return report(`${runtime} ${program}`, ran);
}

if (import.meta.main) {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-interop-" });
  const results: boolean[] = [];
  try {
    await install(folder);
    results.push(await compileConsumer(folder));
    const programs = await copyPrograms(folder);
    for (const runtime of Object.keys(RUNTIMES)) {
      for (const program of programs) {
        results.push(await runProgram(folder, runtime, program));
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const passed = results.filter((good) => good).length;
  const failed = results.length - passed;
  console.log(`${passed} passed, ${failed} failed`);
  Deno.exit(failed === 0 && passed > 0 ? 0 : 1);
}
