/**
 * A throw-away database server: own data folder, own port on 127.0.0.1, stopped, killed and started
 * again by its own process ids. What is particular to a product is its {@linkcode Engine}.
 *
 * @module
 */

import type { User } from "./find.ts";
import { Keeper } from "./keeper.ts";
import { freePort } from "./port.ts";
import { childrenOf, killTree, pause, signal, stop } from "./processes.ts";

/** How a server is started. */
export interface ServerOptions {
  /**
   * Whether what is committed is on the disk, as it is by default. False is faster, for tests that
   * kill nothing.
   */
  readonly durable?: boolean;
  /** Settings of the product's own, by name, such as `max_connections`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Chooses a port; asked again when another program has it. Any free one unless given. */
  readonly choosePort?: () => number;
}

/** A running server. */
export interface DatabaseServer extends AsyncDisposable {
  /** Its address, with the name and password of an administrator. */
  readonly url: string;
  /** Its main process; 0 while it does not run. */
  readonly pid: number;
  /** Where its files are. */
  readonly folder: string;
  /** Makes an empty database and gives its address. */
  createDatabase(): Promise<string>;
  /**
   * Sends a signal to the whole server. SIGKILL ends all its processes as if at one instant,
   * SIGTERM is an orderly end that waits for no client; both wait until the server is gone.
   * SIGSTOP waits until all of it stands still, and SIGCONT lets it go on.
   */
  kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** Starts it on the same data and port, after an orderly end when it still runs. */
  restart(): Promise<void>;
  /** What it has logged since it was made. */
  log(): Promise<string>;
  /** Ends it and removes its data; `await using` does it too. */
  stop(): Promise<void>;
}

/** What is particular to a product. */
export interface Engine {
  /** Its name, as in the names of folders. */
  readonly name: string;
  /** Who it runs as; undefined for the user of this process. */
  readonly user: User | undefined;
  /** What its log says when it takes connections, or is about to where it has `answers`. */
  readonly ready: string;
  /** Asks whether it is this server that answers on a port. */
  answers?(port: number): Promise<boolean>;
  /** The signal for an orderly end that waits for no client. */
  readonly stopSignal: Deno.Signal;
  /** The signal for the fastest end that leaves nothing behind but the data folder. */
  readonly quitSignal: Deno.Signal;
  /** Makes the files of a new server in an empty folder. */
  prepare(folder: string): Promise<void>;
  /** What its environment has beside the usual. */
  readonly env?: Readonly<Record<string, string>>;
  /** The program and its arguments that serve the folder on a port. */
  command(folder: string, port: number): readonly string[];
  /** Frees what the system keeps for a server that was killed. */
  clear?(folder: string): Promise<void>;
  /** The address of a database; of the administrator's own unless named. */
  url(port: number, database?: string): string;
  /** Makes a database on the server at an address. */
  createDatabase(url: string, name: string): Promise<void>;
}

const START_MS = 60_000;
const PORT_TRIES = 20;
const PORT_TAKEN = /address already in use/i;

/** Runs a program to its end as the user of a server. */
export async function runAs(
  user: User | undefined,
  folder: string,
  command: readonly string[],
  options: { env?: Record<string, string> } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const [program = "", ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: folder,
    ...user,
    ...options,
  }).output();
  if (success) return stdout;
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  throw new Error(`${program} failed: ${said.trim()}`);
}

/** A server of any product. */
export class Server implements DatabaseServer {
  readonly #engine: Engine;
  readonly folder: string;
  readonly #keeper: Keeper;
  #port = 0;
  #child: Deno.ChildProcess | undefined;
  #databases = 0;
  #stopped: Promise<void> | undefined;

  private constructor(engine: Engine, folder: string) {
    this.#engine = engine;
    this.folder = folder;
    this.#keeper = new Keeper(folder, engine.quitSignal.slice("SIG".length));
  }

  /**
   * Makes a server and starts it.
   *
   * @param engine the product
   * @param choosePort chooses a port, until it gets one that is free
   * @throws {Error} with what it logged, when it does not start
   */
  static async start(engine: Engine, choosePort: () => number = freePort): Promise<Server> {
    const folder = await Deno.makeTempDir({ prefix: `lakesync-${engine.name}-` });
    const server = new Server(engine, folder);
    try {
      if (engine.user) await Deno.chown(folder, engine.user.uid, engine.user.gid);
      await engine.prepare(folder);
      for (let tries = 1; !await server.#started(choosePort()); tries++) {
        if (tries === PORT_TRIES) throw new Error("Other programs take every port that was free");
      }
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get url(): string {
    return this.#engine.url(this.#port);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async createDatabase(): Promise<string> {
    const name = `test_${++this.#databases}`;
    await this.#engine.createDatabase(this.url, name);
    return this.#engine.url(this.#port, name);
  }

  async kill(name: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    if (name === "SIGSTOP" || name === "SIGCONT") {
      const send = name === "SIGSTOP" ? stop : (pid: number) => signal(pid, name);
      await send(child.pid);
      for (const pid of await childrenOf(child.pid)) await send(pid);
      return;
    }
    if (name === "SIGKILL") {
      await killTree(child.pid);
    } else {
      await this.kill("SIGCONT");
      signal(child.pid, this.#engine.stopSignal);
    }
    await this.#ended(child);
    if (name === "SIGKILL") await this.#engine.clear?.(this.folder);
  }

  async restart(): Promise<void> {
    await this.kill("SIGTERM");
    if (!await this.#started(this.#port)) throw new Error(`Port ${this.#port} was taken`);
  }

  async log(): Promise<string> {
    try {
      return await Deno.readTextFile(`${this.folder}/log`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    // A stopped process would have to be waited for.
    await this.kill("SIGCONT");
    this.#child = undefined;
    await this.#keeper.close();
    await child?.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Starts it on a port; false when another program has taken that. */
  async #started(port: number): Promise<boolean> {
    const before = (await this.log()).length;
    const { user, ready } = this.#engine;
    const child = new Deno.Command("sh", {
      args: [
        "-c",
        'exec "$@" >>"$0" 2>&1',
        `${this.folder}/log`,
        ...this.#engine.command(this.folder, port),
      ],
      cwd: this.folder,
      env: { LC_ALL: "C", TZ: "UTC", ...this.#engine.env },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...user,
    }).spawn();
    this.#child = child;
    await this.#keeper.watch(child.pid);
    let ended = false;
    child.status.then(() => ended = true);
    for (const deadline = performance.now() + START_MS; performance.now() < deadline;) {
      const last = ended;
      const text = (await this.log()).slice(before);
      if (text.includes(ready) && (await this.#engine.answers?.(port) ?? true)) {
        this.#port = port;
        return true;
      }
      if (last) {
        await this.#ended(child);
        if (PORT_TAKEN.test(text)) return false;
        throw new Error(`The server did not start: ${text}`);
      }
      await pause();
    }
    await this.kill("SIGKILL");
    throw new Error(`The server did not start in time: ${(await this.log()).slice(before)}`);
  }

  async #ended(child: Deno.ChildProcess): Promise<void> {
    await child.status;
    this.#child = undefined;
    await this.#keeper.watch(undefined);
  }
}
