/**
 * A gateway as a process whose output is read, with tokens for it.
 *
 * @module
 */

import { type Role, signToken } from "../../server/auth/token.ts";

/** What begins a start's line. */
const STARTED = / on (http:\/\/\S+)/;

/** How a process is started. */
export interface WatchedOptions {
  /** The secret that tokens are signed by. */
  readonly secret: string;
  /** Further flags of `lakesync serve`. */
  readonly args?: readonly string[];
  /** Flags of the runtime in place of `-A`. */
  readonly runtime?: readonly string[];
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a command printed, and how it ended. */
export interface Ended {
  /** Its exit code. */
  readonly code: number;
  /** Its standard output and standard error, one after the other. */
  readonly output: string;
}

/** A gateway process whose whole output is kept. */
export class WatchedServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #data: string;
  readonly #secret: string;
  readonly #reading: Promise<unknown>;
  #output = "";
  #wake = () => {};
  /** Where it listens. */
  url = "";

  private constructor(child: Deno.ChildProcess, data: string, secret: string) {
    this.#child = child;
    this.#data = data;
    this.#secret = secret;
    this.#reading = Promise.all([this.#read(child.stdout), this.#read(child.stderr)]);
  }

  /** Starts one on a folder of its own. */
  static async start(
    { secret, args = [], runtime = ["-A"], env = {} }: WatchedOptions,
  ): Promise<WatchedServer> {
    const data = await Deno.makeTempDir({ prefix: "lakesync-observe-" });
    const child = command(
      ["serve", "--port", "0", "--data", data, "--secret", secret, "--dev=true", ...args],
      { runtime, env },
    ).spawn();
    const server = new WatchedServer(child, data, secret);
    try {
      server.url = (await server.until(STARTED))[1] ?? "";
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed so far. */
  get output(): string {
    return this.#output;
  }

  /**
   * Waits until something was printed.
   *
   * @throws {Error} when it ends before
   */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    let hasEnded = false;
    this.#reading.then(() => {
      hasEnded = true;
      this.#wake();
    });
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found !== null) return found;
      if (hasEnded) throw new Error(`It ended without ${pattern}: ${this.#output}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Makes a token for its gateways. */
  token(sub: string, role: Role = "client"): Promise<string> {
    return signToken({ secret: this.#secret, sub, gw: "*", role, ttlSeconds: 600 });
  }

  /** Sends JSON with a token and reads the answer as text. */
  async send(
    path: string,
    { token, method = "GET", body, headers = {} }: {
      readonly token?: string;
      readonly method?: string;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${this.url}${path}`, {
      method: body === undefined ? method : method === "GET" ? "POST" : method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        "Content-Type": "application/json",
        ...headers,
      },
      ...(body === undefined ? {} : {
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    });
    return { status: response.status, text: await response.text() };
  }

  /** The metrics by name and labels as they are printed. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const { text } = await this.send("/metrics");
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }));
  }

  /** Waits for its end. */
  async ended(): Promise<Ended> {
    const { code } = await this.#child.status;
    await this.#reading;
    return { code, output: this.#output };
  }

  /** Ends it. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Ended> {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    return await this.ended();
  }

  /** Kills it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    await Deno.remove(this.#data, { recursive: true });
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#output += decoder.decode(chunk, { stream: true });
      this.#wake();
    }
  }
}

/**
 * Runs a command of `lakesync` to its end.
 *
 * @param args its arguments
 * @param env further variables
 */
export async function runLakesync(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { code, stdout, stderr } = await command(args, { env }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

function command(
  args: readonly string[],
  { runtime = ["-A"], env = {} }: Pick<WatchedOptions, "runtime" | "env">,
): Deno.Command {
  const main = new URL("../../server/main.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...runtime, "--v8-flags=--max-semi-space-size=4", main, ...args],
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  });
}
