/**
 * Folders for one test, removed with everything in them.
 *
 * @module
 */

import type { StoreSubject } from "./conformance.ts";
import type { StoreFactory } from "./store.ts";

/** Makes a folder that is removed when the scope ends. */
export async function tempFolder(): Promise<
  AsyncDisposable & { readonly path: string }
> {
  const path = await Deno.makeTempDir({ prefix: "lakesync-store-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/**
 * Makes a subject of the conformance suite over folders.
 *
 * @param openStores opens the stores of a folder
 * @param versions whether views stay true whatever is committed
 * @returns the subject
 */
export async function folderSubject(
  openStores: (path: string) => Promise<StoreFactory>,
  versions: boolean,
): Promise<StoreSubject & AsyncDisposable> {
  const root = await tempFolder();
  const opened = new Map<StoreFactory, string>();
  const open = async (path: string) => {
    const stores = await openStores(path);
    opened.set(stores, path);
    return stores;
  };
  return {
    versions,
    open: () => open(`${root.path}/${opened.size}`),
    reopen: async (stores) => {
      await stores.close();
      return open(opened.get(stores) ?? root.path);
    },
    async [Symbol.asyncDispose]() {
      for (const stores of opened.keys()) await stores.close();
      await root[Symbol.asyncDispose]();
    },
  };
}
