/**
 * Decides when the base is compared with what the gateway told, and shows what was found: at once
 * after a bootstrap, a resync and a repair, soon where there are few rows, otherwise now and then
 * when nothing else goes on.
 *
 * @module
 */

import type { ClientEnvironment } from "./environment.ts";
import type { Applied, Replica } from "./replica.ts";
import type { StatusValue } from "./status.ts";
import type { Verified } from "./verify.ts";

/** How long a comparison waits after the last one where there are few rows, in milliseconds. */
const SMALL_EVERY_MS = 1_000;

/** How long it waits when something else goes on, as a part of the time between two. */
const BUSY_PART = 10;

/** What verifying works with. */
export interface VerificationContext {
  /** Clock and timers. */
  readonly env: Pick<ClientEnvironment, "now" | "setTimer">;
  /** The local database. */
  readonly replica: Replica;
  /** Where it is shown. */
  readonly status: StatusValue;
  /** The time between two comparisons of many rows, in milliseconds. */
  readonly everyMs: number;
  /** Told when something is to be asked for again. */
  readonly onRepair: () => void;
}

/** Compares the base with what the gateway told. */
export class Verification {
  readonly #context: VerificationContext;
  #lastMs: number | undefined;
  #cancel: (() => void) | undefined;
  #dueMs = Infinity;
  #closed = false;
  #running: Promise<unknown> = Promise.resolve();

  /** @param context what it works with */
  constructor(context: VerificationContext) {
    this.#context = context;
  }

  /** A checkpoint was applied. */
  checkpoint({ verify, seq }: Applied): void {
    if (verify === undefined || seq === undefined || this.#closed) return;
    const { env, everyMs } = this.#context;
    const since = this.#lastMs === undefined ? Infinity : env.now() - this.#lastMs;
    if (verify === "now") this.#arm(Math.max(0, Math.min(SMALL_EVERY_MS, SMALL_EVERY_MS - since)));
    else this.#arm(this.#lastMs === undefined ? everyMs : Math.max(0, everyMs - since));
  }

  /** Compares now. */
  async run(): Promise<Verified | undefined> {
    const run = this.#running.then(() => this.#run());
    this.#running = run.catch(() => {});
    return await run;
  }

  /** Ends it; resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#disarm();
    await this.#running;
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueMs = Infinity;
  }

  #arm(ms: number): void {
    const { env } = this.#context;
    const dueMs = env.now() + ms;
    if (dueMs >= this.#dueMs) return;
    this.#disarm();
    if (ms === 0) return void this.run().catch(() => {});
    this.#dueMs = dueMs;
    this.#cancel = env.setTimer(ms, () => this.#due());
  }

  #due(): void {
    const { status, everyMs } = this.#context;
    this.#disarm();
    const { progress, uploading } = status.value;
    if (progress !== undefined || uploading) this.#arm(Math.ceil(everyMs / BUSY_PART));
    else this.run().catch(() => {});
  }

  async #run(): Promise<Verified | undefined> {
    const { env, replica } = this.#context;
    if (this.#closed) return undefined;
    this.#disarm();
    const verified = await replica.verify();
    this.#lastMs = env.now();
    if (verified !== undefined) this.#show(verified);
    return verified;
  }

  #show({ drifts }: Verified): void {
    const { env, status, onRepair } = this.#context;
    const atMs = env.now();
    const acted = drifts.filter(({ remedy }) => remedy === "repair" || remedy === "resync");
    const last = acted.at(-1);
    const [first] = drifts.filter(({ remedy }) => remedy === "given-up").concat(drifts);
    status.setProblem(
      "data",
      first === undefined ? undefined : {
        code: "DRIFT",
        message: first.remedy === "given-up"
          ? `Bucket ${first.bucket} differs from the gateway's and repairs do not help; report it`
          : `Bucket ${first.bucket} differs from the gateway's; it is fetched again`,
        atMs,
      },
      last === undefined ? {} : {
        repairs: status.value.repairs + acted.length,
        lastRepair: {
          bucket: last.bucket,
          atMs,
          rows: last.rows,
          rowsHere: last.rowsHere,
          remedy: last.remedy,
        },
      },
    );
    if (acted.length > 0) onRepair();
  }
}
