/**
 * What is asked of the thread that writes and reads Parquet files, and what it answers.
 *
 * @module
 */

import { byteLengthOf } from "../columns/layout.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch, ParquetFile, ParquetOptions } from "./parquet.ts";
import type { ParquetLibrary } from "./wasm.ts";

/** Something to do. */
export type Order =
  | { readonly kind: "write"; readonly batch: ColumnBatch; readonly options: ParquetOptions }
  | { readonly kind: "read"; readonly bytes: Uint8Array; readonly fields: readonly LakeField[] };

/** What came of it. */
export interface Outcome {
  /** What was written. */
  readonly file?: ParquetFile;
  /** What was read. */
  readonly batch?: ColumnBatch;
  /** Why it failed. */
  readonly problem?: string;
  /**
   * How many bytes the thread holds on to, about: the memory of the library, which never gets less,
   * and what was read and written, which is collected late.
   */
  readonly heldBytes: number;
}

/** The library and what is done with it, loaded when they are needed first. */
let loading: Promise<(order: Order) => Promise<Outcome>> | undefined;

async function load(): Promise<(order: Order) => Promise<Outcome>> {
  const [{ decodeFile, encodeFile }, { loadLibrary }] = await Promise.all([
    import("./codec.ts"),
    import("./wasm.ts"),
  ]);
  const library: ParquetLibrary = await loadLibrary();
  return async (order) => {
    const made = order.kind === "write"
      ? { file: await encodeFile(library, order.batch, order.options) }
      : { batch: decodeFile(library, order.bytes, order.fields) };
    const heldBytes = library.wasmMemory().buffer.byteLength + sizeOf(order) + sizeOf(made);
    return { ...made, heldBytes };
  };
}

interface Sizable {
  readonly batch?: ColumnBatch;
  readonly file?: ParquetFile;
  readonly bytes?: Uint8Array;
}

function sizeOf({ batch, file, bytes }: Sizable): number {
  const columns = batch?.columns ?? [];
  return columns.reduce((sum, column) => sum + byteLengthOf(column), 0) +
    (file?.bytes.length ?? 0) + (bytes?.length ?? 0);
}

/**
 * Does what is asked, in the thread it is called in.
 *
 * @param order what to do
 * @returns what came of it; failures are in it
 */
export async function follow(order: Order): Promise<Outcome> {
  try {
    return await (await (loading ??= load()))(order);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error), heldBytes: 0 };
  }
}
