/**
 * Readers of Iceberg tables that know nothing of LakeSync, each one process that answers questions
 * as JSON lines. Two readers agree when their answers are equal.
 *
 * @module
 */

import type { LakeTools } from "./tools.ts";

/** The programs that read. */
export type ReaderName = "pyiceberg" | "duckdb" | "spark" | "clickhouse";

/**
 * The programs that read whatever there is, wherever it is. ClickHouse is not among them: its times
 * are of 1900 to 2299, bytes are texts to it, and by a REST catalog it reads buckets alone.
 */
export const READERS: readonly ReaderName[] = ["pyiceberg", "duckdb", "spark"];

/** Where a table is found. */
export type TablePlace =
  /** By its files alone: under `<warehouse>/<namespace>/<name>`, a location with its scheme. */
  | {
    readonly kind: "files";
    readonly warehouse: string;
    readonly namespace: string;
    readonly name: string;
  }
  /** By a REST catalog. */
  | {
    readonly kind: "rest";
    readonly uri: string;
    readonly namespace: string;
    readonly name: string;
    readonly token?: string;
  };

/** How to reach a bucket. */
export interface BucketAccess {
  /** The server, such as `http://127.0.0.1:9000`. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What is to be read. */
export interface Question {
  readonly table: TablePlace;
  /** For tables in a bucket. */
  readonly s3?: BucketAccess;
  /** As of this snapshot; else as it is now. */
  readonly snapshotId?: bigint;
  /** As of this time; else as it is now. */
  readonly timestampMs?: number;
}

/** What a reader saw. */
export interface TableRows {
  /** Names of the columns and their Iceberg types, in order. */
  readonly columns: readonly (readonly [name: string, type: string])[];
  /**
   * The rows as JSON objects, sorted. All values are texts but for booleans and nulls: numbers in
   * decimal, doubles as their 64 bits in hex, decimals with all digits of their scale, dates as days
   * and timestamps as microseconds since 1970, binary in hex.
   */
  readonly rows: readonly string[];
}

/** A program that reads tables; end it when it is done. */
export interface Reader extends AsyncDisposable {
  /** Which one. */
  readonly name: ReaderName;
  /** Reads all rows. */
  read(question: Question): Promise<TableRows>;
  /** Counts the rows without reading them, as far as the program can. */
  count(question: Question): Promise<number>;
  /** Has Spark run statements; `{catalog}` stands for the catalog that has the question's table. */
  run(question: Question, statements: readonly string[]): Promise<void>;
  /**
   * Runs statements as they are, in a session of their own.
   *
   * @param statements the statements
   * @param conf settings of Spark's for them
   * @returns the rows of each, with values as in {@linkcode TableRows}
   */
  script(
    statements: readonly string[],
    conf?: Readonly<Record<string, string>>,
  ): Promise<readonly (readonly unknown[][])[]>;
  /** Has Spark answer a query with the one value of its first row, as a text. */
  value(question: Question, query: string): Promise<string>;
}

/** Whether a program can read a table where it is. */
export function canRead(name: ReaderName, { table, s3 }: Question): boolean {
  return name !== "clickhouse" || table.kind === "files" || s3 !== undefined;
}

/** A row in the form of {@linkcode TableRows}. */
export function rowText(columns: TableRows["columns"], values: readonly unknown[]): string {
  return JSON.stringify(Object.fromEntries(columns.map(([name], at) => [name, values[at]])));
}

/** The SHA-256 of what a reader saw, in hex. */
export async function checksumOf(rows: TableRows): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(rows));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** What Spark asks of Java for its own use of memory. */
const OPENED = ["lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util"]
  .map((name) => `java.base/java.${name}`)
  .concat(["java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic"])
  .concat(["nio.ch", "nio.cs", "security.action", "util.calendar"]
    .map((name) => `java.base/sun.${name}`))
  .map((name) => `--add-opens=${name}=ALL-UNNAMED`);

const HERE = new URL("readers/", import.meta.url).pathname;

function commandOf(name: ReaderName, tools: LakeTools, folder: string): string[] {
  if (name !== "spark") return [tools.python, `${HERE}reader.py`, name, tools.extensions];
  const logging = `-Dlog4j2.configurationFile=${HERE}log4j2.properties`;
  const memory = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
  return [
    tools.java,
    ...memory,
    logging,
    ...OPENED,
    "-cp",
    `${tools.spark}/*`,
    `${HERE}SparkReader.java`,
    folder,
  ];
}

interface Line {
  readonly id?: number;
  readonly ready?: boolean;
  readonly error?: string;
  readonly count?: number;
  readonly value?: string;
  readonly answers?: unknown[][][];
  readonly columns?: [string, string][];
  readonly rows?: unknown[][];
}

/**
 * Starts a reader.
 *
 * @param name which
 * @param tools where the programs are
 */
export async function startReader(name: ReaderName, tools: LakeTools): Promise<Reader> {
  const folder = await Deno.makeTempDir({ prefix: `lakesync-${name}-` });
  const reader = new Process(name, folder, commandOf(name, tools, folder));
  try {
    await reader.ready();
    return reader;
  } catch (error) {
    await reader[Symbol.asyncDispose]();
    throw error;
  }
}

class Process implements Reader {
  readonly name: ReaderName;
  readonly #folder: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #asked = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(name: ReaderName, folder: string, command: readonly string[]) {
    this.name = name;
    this.#folder = folder;
    // It ends by itself when nobody writes to it any more. Its answers are not read ahead, since a
    // test is to end with nothing under way.
    this.#child = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" 2>"$0"', `${folder}/log`, ...command],
      // ClickHouse reads what is in its working folder.
      cwd: "/",
      env: { LC_ALL: "C.UTF-8", TZ: "UTC", PYTHONWARNINGS: "ignore" },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.getReader();
  }

  async ready(): Promise<void> {
    await this.#line();
  }

  async read(question: Question): Promise<TableRows> {
    const { columns = [], rows = [] } = await this.#ask(question, {});
    return { columns, rows: rows.map((values) => rowText(columns, values)).sort() };
  }

  async count(question: Question): Promise<number> {
    return (await this.#ask(question, { count: true })).count ?? NaN;
  }

  async run(question: Question, statements: readonly string[]): Promise<void> {
    await this.#ask(question, { sql: statements });
  }

  async value(question: Question, query: string): Promise<string> {
    return (await this.#ask(question, { sql: [query] })).value ?? "null";
  }

  async script(
    statements: readonly string[],
    conf: Readonly<Record<string, string>> = {},
  ): Promise<readonly (readonly unknown[][])[]> {
    return (await this.#ask({}, { script: statements, conf })).answers ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#output.cancel();
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }

  #ask(question: Partial<Question>, how: Record<string, unknown>): Promise<Line> {
    const answer = this.#turn.then(async () => {
      const id = ++this.#asked;
      const { snapshotId, ...rest } = question;
      const at = snapshotId === undefined ? {} : { snapshotId: String(snapshotId) };
      const line = JSON.stringify({ id, ...rest, ...at, ...how });
      await this.#input.write(new TextEncoder().encode(`${line}\n`));
      const said = await this.#line();
      if (said.error !== undefined) throw new Error(`${this.name}: ${said.error}`);
      if (said.id !== id) throw new Error(`${this.name} answered another question`);
      return said;
    });
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #line(): Promise<Line> {
    const parts = [this.#rest];
    for (let last = this.#rest; !last.includes("\n");) {
      const { value, done } = await this.#output.read();
      if (done) {
        const log = await Deno.readTextFile(`${this.#folder}/log`);
        throw new Error(`${this.name} ended: ${log.slice(-4_000)}`);
      }
      parts.push(last = this.#decoder.decode(value, { stream: true }));
    }
    const text = parts.join("");
    const end = text.indexOf("\n");
    this.#rest = text.slice(end + 1);
    return JSON.parse(text.slice(0, end));
  }
}
