/**
 * Progress bars: drawn in place on a terminal, a line at each quarter elsewhere.
 *
 * @module
 */

const WIDTH = 24;

/** Bars that share some lines of standard error. */
export class Progress {
  readonly #bars = new Map<string, { done: number; total: number; told: number }>();
  readonly #terminal = Deno.stderr.isTerminal();
  #drawn = 0;

  /** Sets a bar. */
  set(name: string, done: number, total: number): void {
    const bar = this.#bars.get(name) ?? { done: 0, total, told: 0 };
    this.#bars.set(name, { done, total, told: bar.told });
    if (this.#terminal) this.#draw();
    else this.#tell(name);
  }

  /** Writes a line above the bars. */
  note(text: string): void {
    this.#clear();
    console.error(text);
    if (this.#terminal) this.#draw();
  }

  /** Ends these bars; what is set then begins new ones. */
  end(): void {
    if (this.#terminal) this.#draw();
    this.#drawn = 0;
    this.#bars.clear();
  }

  #clear(): void {
    if (!this.#terminal || this.#drawn === 0) return;
    write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    this.#clear();
    for (const [name, { done, total }] of this.#bars) {
      const filled = Math.round((Math.min(done, total) / Math.max(total, 1)) * WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
      write(`  ${name.padEnd(18)} ${bar} ${done.toLocaleString("en-US")}\n`);
      this.#drawn++;
    }
  }

  #tell(name: string): void {
    const bar = this.#bars.get(name);
    if (bar === undefined) return;
    const quarter = Math.floor((bar.done / Math.max(bar.total, 1)) * 4);
    if (quarter <= bar.told) return;
    bar.told = quarter;
    write(`  ${name.padEnd(18)} ${quarter * 25} %\n`);
  }
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
