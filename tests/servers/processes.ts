/**
 * The processes of a server: found and signaled by their ids, and waited for until they are gone.
 *
 * @module
 */

const POLL_MS = 5;

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args: [...args], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

/** Waits a moment between two looks at something that tells nobody when it changes. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** The children of a process, those of its main thread on Linux. */
export async function childrenOf(pid: number): Promise<number[]> {
  if (Deno.build.os === "linux") {
    try {
      const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
      return text.split(" ").filter((id) => id !== "").map(Number);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const lines = (await run("ps", ["-A", "-o", "pid=,ppid="])).split("\n");
  return lines.map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([id, parent]) => id !== undefined && parent === pid ? [id] : []);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch {
    return [];
  }
}

/** The states of a process's threads, one letter each, as `ps` has them; none when it is gone. */
async function statesOf(pid: number): Promise<string[]> {
  if (Deno.build.os !== "linux") {
    const state = (await run("ps", ["-o", "stat=", "-p", String(pid)])).trim();
    return state === "" ? [] : [state.slice(0, 1)];
  }
  const states: string[] = [];
  const tasks = `/proc/${pid}/task`;
  for (const name of await namesIn(tasks)) {
    // A thread that ended meanwhile does nothing any more.
    const stat = await Deno.readTextFile(`${tasks}/${name}/stat`).catch(() => ") X");
    states.push(stat.charAt(stat.lastIndexOf(")") + 2));
  }
  return states;
}

/** Whether a process still does anything: one that only waits to be collected does not. */
export async function isAlive(pid: number): Promise<boolean> {
  return !(await statesOf(pid)).every((state) => "ZX".includes(state));
}

/** Stops a process, and waits until it has stopped. */
export async function stop(pid: number): Promise<void> {
  if (!signal(pid, "SIGSTOP")) return;
  while (!(await statesOf(pid)).every((state) => "TZX".includes(state))) await pause();
}

/** Sends a process a signal; whether there was one. */
export function signal(pid: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(pid, name);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Kills a process and its children as if at one instant, and waits until the children are gone.
 *
 * @param pid the process; its parent is to wait for it
 */
export async function killTree(pid: number): Promise<void> {
  await stop(pid);
  const children = await childrenOf(pid);
  for (const child of children) signal(child, "SIGKILL");
  signal(pid, "SIGKILL");
  for (const child of children) while (await isAlive(child)) await pause();
}
