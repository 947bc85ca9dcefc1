/**
 * The commands of a guide, run as they stand there but for addresses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { firstFile, pathFolders } from "../servers/find.ts";

/**
 * Tells whether a program is missing, and says so.
 *
 * @param name its name
 * @param folders where to look besides
 */
export async function isProgramMissing(name: string, ...folders: string[]): Promise<boolean> {
  const places = [...folders, ...pathFolders()].map((folder) => `${folder}/${name}`);
  if (await firstFile(places) !== undefined) return false;
  console.log(`skipped: ${name} is not installed; CONTRIBUTING.md says how`);
  return true;
}

/**
 * Runs the first line of a guide that begins so.
 *
 * @param text the guide
 * @param start how the line begins
 * @param change puts addresses and folders into it
 * @param folder where it is run
 */
export async function runLine(
  text: string,
  start: string,
  change: (line: string) => string,
  folder: string,
): Promise<void> {
  const line = text.split("\n").map((each) => each.trim()).find((each) => each.startsWith(start));
  assert.ok(line !== undefined, start);
  const command = change(line);
  assert.notEqual(command, line);
  const { success, stderr } = await new Deno.Command("sh", { args: ["-c", command], cwd: folder })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
