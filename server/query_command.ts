/**
 * `lakesync query`: answers SQL over a lake. Rows go to standard output, all else to standard error.
 *
 * @module
 */

import type { LakeQuery, QueryOptions, QueryStream } from "@lakesync/adapters/lake/query";
import { dirname, resolve } from "node:path";
import type { QueryConfig, QueryFormat } from "./query_arguments.ts";
import { csvText, jsonText, tableText } from "./query_format.ts";
import { withLake } from "./query_lake.ts";
import { UsageError } from "./values.ts";

const TEXTS: Readonly<
  Record<Exclude<QueryFormat, "parquet">, (stream: QueryStream) => AsyncIterable<string>>
> = { table: tableText, csv: csvText, json: jsonText };

/** Where an answer goes. */
type Sink = WritableStream<Uint8Array>;

/** A file can only be written in a folder that is there; said before anything is read. */
async function checkOut(out: string): Promise<void> {
  const folder = dirname(resolve(out));
  const isFolder = async (path: string) => {
    try {
      return (await Deno.stat(path)).isDirectory;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
        return false;
      }
      throw error;
    }
  };
  if (!await isFolder(folder)) {
    throw new UsageError(`--out: there is no folder ${folder}, make it first`);
  }
  if (await isFolder(out)) throw new UsageError(`--out ${out} is a folder, give it a file's name`);
}

/** Standard output, which stays open, or a file. */
async function openSink(out: string | undefined): Promise<Sink> {
  if (out !== undefined) {
    return (await Deno.open(out, { write: true, create: true, truncate: true })).writable;
  }
  const { stdout } = Deno;
  return new WritableStream({
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += await stdout.write(bytes.subarray(at));
    },
  });
}

async function writeText(pieces: AsyncIterable<string>, sink: Sink): Promise<void> {
  await ReadableStream.from(pieces).pipeThrough(new TextEncoderStream()).pipeTo(sink);
}

/** Writes Parquet, by way of a file where there is none, and gives the commit it is as of. */
async function writeParquet(
  query: LakeQuery,
  { sql, out }: QueryConfig,
  options: QueryOptions,
): Promise<number> {
  if (out !== undefined) return await query.writeParquet(sql, out, options);
  const file = await Deno.makeTempFile({ suffix: ".parquet" });
  try {
    const seq = await query.writeParquet(sql, file, options);
    await (await Deno.open(file)).readable.pipeTo(await openSink(undefined));
    return seq;
  } finally {
    await Deno.remove(file);
  }
}

/**
 * Answers a question.
 *
 * @param config the question
 * @param note told for people, not for programs
 */
export async function runQuery(config: QueryConfig, note: (text: string) => void): Promise<void> {
  const { sql, format, out, asOf } = config;
  if (format === "parquet" && out === undefined && Deno.stdout.isTerminal()) {
    throw new UsageError("Parquet is not for terminals, give --out");
  }
  if (out !== undefined) await checkOut(out);
  const options = asOf === undefined ? {} : { asOf };
  await withLake(config, async (query) => {
    if (format === "parquet") {
      note(`as of commit ${await writeParquet(query, config, options)}`);
      return;
    }
    await query.read(sql, options, async (stream) => {
      await writeText(TEXTS[format](stream), await openSink(out));
      note(`as of commit ${stream.seq}`);
    });
  }, note);
}
