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
 * @returns the JSON's value, or the module's default export
 * @throws {Error} when there is no such file, it is not valid, or has no default export; what the
 * module throws
 */
export async function loadModule(path: string): Promise<unknown> {
  if (path.endsWith(".json")) {
    const text = await Deno.readTextFile(path);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Error("It is not valid JSON", { cause });
    }
  }
  await Deno.stat(path);
  const module: { readonly default?: unknown } = await import(pathToFileURL(resolve(path)).href);
  if (module.default === undefined) throw new Error("It has no default export");
  return module.default;
}
