/**
 * Loads what a file of the user declares: a configuration, a schema or rules.
 *
 * @module
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Loads a file.
 *
 * @param path JSON by its name's end, else a TypeScript or JavaScript module
 * @param name the export that is meant where a module has it; its default export unless given
 * @returns the JSON's value, or the module's export
 * @throws {Error} when there is no such file, it is not valid, or has no such export; what the
 * module throws
 */
export async function loadModule(path: string, name = "default"): Promise<unknown> {
  if (path.endsWith(".json")) {
    const text = await Deno.readTextFile(path);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Error("It is not valid JSON", { cause });
    }
  }
  await Deno.stat(path);
  const module: Readonly<Record<string, unknown>> = await import(
    pathToFileURL(resolve(path)).href
  );
  const value = module[name] ?? module["default"];
  if (value !== undefined) return value;
  const named = name === "default" ? "" : ` and no export named ${name}`;
  throw new Error(`It has no default export${named}`);
}
