/**
 * A gateway as a process of its own, to be killed and started again by tests, benchmarks and demos.
 *
 * @module
 */

/** How a gateway process is started. */
export interface ServerProcessOptions {
  /** The data folder. */
  readonly data: string;
  /** The secret, at least 32 characters. */
  readonly secret: string;
  /** Which store; `sqlite` unless given. */
  readonly store?: "sqlite" | "kv" | "memory";
  /** Whether gateways without sync rules are open to every valid token; true unless given. */
  readonly dev?: boolean;
  /** The port; 0 for any, which later starts keep. */
  readonly port?: number;
  /** A command before deno's own, for instance a tracer and its flags. */
  readonly wrapper?: readonly string[];
  /** Further flags of the runtime, for instance those of a profiler. */
  readonly runtime?: readonly string[];
  /** Further flags of `lakesync serve`. */
  readonly args?: readonly string[];
  /** Environment variables of the process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Keeps the process small: the gateway's garbage dies young, whatever the size of its nursery. */
const SMALL_YOUNG_GENERATION = "--v8-flags=--max-semi-space-size=4";

const STARTED = / on (https?:\/\/\S+)/;

/** A gateway process that can be killed and started again at the same address. */
export class ServerProcess implements AsyncDisposable {
  readonly #options: ServerProcessOptions;
  #child: Deno.ChildProcess | undefined;
  #errors: Promise<string> | undefined;
  #url = "";

  /**
   * Makes it; {@linkcode ServerProcess.start} starts it.
   *
   * @param options how it is started, each time
   */
  constructor(options: ServerProcessOptions) {
    this.#options = options;
  }

  /** Where it listens, once it was started. */
  get url(): string {
    return this.#url;
  }

  /** The process id, while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it and waits until it listens.
   *
   * @throws {Error} with what it printed, when it ends before
   */
  async start(): Promise<this> {
    const { data, secret, store = "sqlite", port = 0, wrapper = [], env = {} } = this.#options;
    const { dev = true, runtime = [], args: more = [] } = this.#options;
    const listen = this.#url === "" ? String(port) : new URL(this.#url).port;
    const main = new URL("../main.ts", import.meta.url);
    const [command, ...args] = [
      ...wrapper,
      Deno.execPath(),
      "run",
      "-A",
      SMALL_YOUNG_GENERATION,
      "--unstable-kv",
      ...runtime,
      main.protocol === "file:" ? decodeURIComponent(main.pathname) : main.href,
      ...["serve", "--port", listen, "--data", data, "--secret", secret, "--store", store],
      `--dev=${dev}`,
      ...more,
    ];
    if (command === undefined) throw new Error("There is no command to start");
    const child = new Deno.Command(command, { args, env, stdout: "null", stderr: "piped" }).spawn();
    this.#child = child;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#errors = read(child.stderr, resolve);
    this.#errors.then((text) => reject(new Error(`The gateway process did not start: ${text}`)));
    this.#url = await promise;
    return this;
  }

  /** Kills it with SIGKILL and waits until it is gone. */
  async kill(): Promise<void> {
    await this.stop("SIGKILL");
  }

  /**
   * Sends it a signal and waits until it is gone.
   *
   * @param signal which one
   * @returns its exit code
   */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    const child = this.#child;
    if (child === undefined) return 0;
    this.#child = undefined;
    try {
      child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    const { code } = await child.status;
    await this.#errors;
    return code;
  }

  /** Kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function read(
  stream: ReadableStream<Uint8Array>,
  onStarted: (url: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    if (text.length < 20_000) text += decoder.decode(chunk, { stream: true });
    const url = STARTED.exec(text)?.[1];
    if (url !== undefined) onStarted(url);
  }
  return text;
}
