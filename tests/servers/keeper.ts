/**
 * A small process that outlives this one and clears up after it, however it ends: it reads which
 * server process runs, and when nobody writes to it any more it ends that and removes the folder.
 *
 * @module
 */

/** Its parameters are the folder and the signal; an empty line says that nothing runs. */
const SCRIPT = `
trap '' HUP INT TERM
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -s "$2" "$pid"
  kill -s CONT "$pid"
  tries=0
  while kill -s 0 "$pid" && [ "$tries" -lt 1000 ]; do
    sleep 0.01
    tries=$((tries + 1))
  done
  kill -s KILL "$pid"
fi
rm -rf -- "$1"
`;

/** Looks after a folder and the one process at a time that uses it. */
export class Keeper {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * @param folder what it removes at the end
   * @param quit the signal that ends the process fastest, without its prefix `SIG`
   */
  constructor(folder: string, quit: string) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "keeper", folder, quit],
      // A signal to all that a terminal or a time limit has started does not reach it.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
  }

  /** Says which process runs; undefined for none. */
  async watch(pid: number | undefined): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${pid ?? ""}\n`));
  }

  /** Ends the process and removes the folder. */
  async close(): Promise<void> {
    await this.#writer.close();
    await this.#child.status;
  }
}
