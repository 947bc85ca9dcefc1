/**
 * Loads the Parquet library, which is WebAssembly, without reading over the network. Deno loads it as
 * a module, for which it needs no permission; other runtimes read it from the package.
 *
 * @module
 */

import type * as Library from "parquet-wasm/bundler";

export type { WriterProperties } from "parquet-wasm/bundler";

/** The Parquet library. */
export type ParquetLibrary = typeof Library;

let loading: Promise<ParquetLibrary> | undefined;

/** Gives the library, loaded once in each thread. */
export function loadLibrary(): Promise<ParquetLibrary> {
  return loading ??= "Deno" in globalThis ? import("parquet-wasm/bundler") : import("parquet-wasm");
}
