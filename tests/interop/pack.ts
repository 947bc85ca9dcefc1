/**
 * Packs the members of the workspace as npm packages. `deno pack` leaves workspace siblings out of
 * the dependencies; this adds them.
 *
 * `deno run -A tests/interop/pack.ts FOLDER` leaves one .tgz for each member in the folder.
 *
 * @module
 */

import { listFiles, MEMBERS, readText, ROOT } from "../gate/files.ts";
import { specifiersOf } from "../gate/imports.ts";
import { type Ran, run } from "../gate/process.ts";

const SCOPE = "@lakesync/";

async function mustRun(command: readonly string[], cwd: URL | string): Promise<Ran> {
  const ran = await run(command, { cwd });
  if (!ran.success) throw new Error(`${command.join(" ")} failed: ${ran.output}`);
  return ran;
}

/** The siblings that a member's published modules import. */
async function siblingsOf(member: string): Promise<string[]> {
  const siblings = new Set<string>();
  for (const path of await listFiles(`${member}/*.ts`)) {
    if (/(_test\.ts|\/testing_[^/]*)$/.test(path)) continue;
    for (const specifier of specifiersOf(await readText(path))) {
      const sibling = /^@lakesync\/(\w+)/.exec(specifier)?.[1];
      if (sibling !== undefined) siblings.add(sibling);
    }
  }
  return [...siblings].sort();
}

async function packMember(member: string, folder: string): Promise<string> {
  const tarball = `${folder}/${member}.tgz`;
  const unpacked = `${folder}/${member}`;
  const cwd = new URL(`${member}/`, ROOT);
  await mustRun(
    [Deno.execPath(), "pack", "--allow-dirty", "--no-source-maps", "--output", tarball],
    cwd,
  );
  await Deno.mkdir(unpacked);
  await mustRun(["tar", "-xzf", tarball, "-C", unpacked], folder);
  const manifestPath = `${unpacked}/package/package.json`;
  const manifest = JSON.parse(await Deno.readTextFile(manifestPath));
  for (const sibling of await siblingsOf(member)) {
    manifest.dependencies = {
      ...manifest.dependencies,
      [`${SCOPE}${sibling}`]: `^${manifest.version}`,
    };
  }
  await Deno.writeTextFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
  await mustRun(["tar", "-czf", tarball, "-C", unpacked, "package"], folder);
  await Deno.remove(unpacked, { recursive: true });
  return tarball;
}

/**
 * Packs members.
 *
 * @param folder where the tarballs go
 * @param members which, all unless given; a member comes after those it depends on
 * @returns their paths, in the order in which they depend on each other
 */
export async function packAll(
  folder: string,
  members: readonly string[] = MEMBERS,
): Promise<string[]> {
  const tarballs: string[] = [];
  for (const member of members) tarballs.push(await packMember(member, folder));
  return tarballs;
}

if (import.meta.main) {
  const [folder = "."] = Deno.args;
  for (const tarball of await packAll(await Deno.realPath(folder))) console.log(tarball);
}
