/**
 * Devices as processes: started, listened to, killed and started again on the same file.
 *
 * @module
 */

import { TextLineStream } from "./client_lines.ts";

/** How a device's program is run: the command and its arguments before the settings. */
export type Command = readonly [string, ...string[]];

/** The runtime the tests run under, on the sources. */
export const DENO: Command = [
  Deno.execPath(),
  "run",
  "-A",
  decodeURIComponent(new URL("client_program.ts", import.meta.url).pathname),
];

/** What a device is started with. */
export interface DeviceSettings {
  /** The gateway. */
  readonly url: string;
  /** The device's token. */
  readonly token: string;
  /** Its SQLite file. */
  readonly database: string;
  /** Its name. */
  readonly device: string;
  /** The longest pause between two transactions, in milliseconds. */
  readonly paceMs: number;
  /** How much faster than the clock its timers run; 1 unless given. */
  readonly times?: number;
}

const ANSWER_WITHIN_MS = 30_000;

/** Who waits for a line. */
interface Waiter {
  readonly fits: RegExp;
  readonly resolve: (line: string) => void;
  readonly reject: (error: Error) => void;
}

/** A device's process, which can be killed and started again. */
export class Device implements AsyncDisposable {
  /** How many transactions it has reported as committed. */
  reported = 0;
  /** How many transactions it found committed that it had not reported before it was killed. */
  unreported = 0;
  /** What went wrong that no kill explains. */
  readonly faults: string[] = [];
  readonly #command: Command;
  readonly #settings: DeviceSettings;
  readonly #waiters: Waiter[] = [];
  #child: Deno.ChildProcess | undefined;
  #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  #expected = false;

  /**
   * @param command how its program is run
   * @param settings what it is started with
   */
  constructor(command: Command, settings: DeviceSettings) {
    this.#command = command;
    this.#settings = { times: 1, ...settings };
  }

  /** Its name. */
  get name(): string {
    return this.#settings.device;
  }

  /** Starts it. */
  start(): void {
    const [program, ...args] = this.#command;
    const child = new Deno.Command(program, {
      args: [...args, JSON.stringify(this.#settings)],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    this.#expected = false;
    this.#input = child.stdin.getWriter();
    this.#input.closed.catch(() => {});
    this.#reading = Promise.all([this.#listen(child), this.#watch(child)]);
  }

  async #listen(child: Deno.ChildProcess): Promise<void> {
    for await (const line of child.stdout.pipeThrough(new TextLineStream())) this.#hear(line);
  }

  async #watch(child: Deno.ChildProcess): Promise<void> {
    const text = await new Response(child.stderr).text();
    const { code, signal } = await child.status;
    if (this.#expected) return;
    const fault = `${this.name} ended with ${signal ?? code}: ${text.slice(0, 2_000)}`;
    this.faults.push(fault);
    for (const { reject } of this.#waiters.splice(0)) reject(new Error(fault));
  }

  #hear(line: string): void {
    const [word, value] = line.split(" ");
    const n = Number(value);
    if (word === "tx") this.reported = n;
    else if (word === "torn") this.faults.push(`${this.name} shows half of a transaction`);
    else if (word === "repair") this.faults.push(`${this.name} differed: ${line}`);
    else if (word === "open") {
      const more = n - this.reported;
      if (more !== 0 && more !== 1) {
        this.faults.push(`${this.name} had reported ${this.reported} and its file holds ${n}`);
      }
      this.unreported += more;
      this.reported = n;
    }
    for (const waiter of [...this.#waiters]) {
      if (!waiter.fits.test(line)) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve(line);
    }
  }

  /**
   * Waits for a line that it prints from now on.
   *
   * @param fits the line
   * @returns its second word
   * @throws {Error} when it does not come
   */
  async line(fits: RegExp): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiters.push({ fits, resolve, reject });
    const timer = setTimeout(() => {
      reject(new Error(`${this.name} did not print ${fits}: ${this.faults.join("; ")}`));
    }, ANSWER_WITHIN_MS);
    try {
      return (await promise).split(" ")[1] ?? "";
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives it a command. */
  async tell(command: string): Promise<void> {
    await this.#input?.write(new TextEncoder().encode(`${command}\n`));
  }

  /** Tells it to stop writing; resolves with how many it wrote when the gateway has them. */
  async stop(): Promise<number> {
    const synced = this.line(/^synced /);
    await this.tell("stop");
    return Number(await synced);
  }

  /** The hash of all it shows. */
  async shows(): Promise<string> {
    const shown = this.line(/^shows /);
    await this.tell("show");
    return await shown;
  }

  /** Kills it and waits until it is gone. */
  async kill(): Promise<void> {
    await this.#end(() => this.#child?.kill("SIGKILL"));
  }

  /** Tells it to end and waits until it is gone. */
  async close(): Promise<void> {
    await this.#end(() => this.tell("close"));
  }

  async #end(how: () => void | Promise<void>): Promise<void> {
    if (this.#child === undefined) return;
    this.#expected = true;
    try {
      await how();
    } catch {
      // It has ended before.
    }
    await this.#child.status;
    await this.#input?.close().catch(() => {});
    await this.#reading;
    this.#child = undefined;
  }

  /** Kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
