/**
 * The system calls of a process, in the order in which they finished.
 *
 * @module
 */

const CALLS = "pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync";
/** The flags of `strace`, but for which process and where to. */
export const TRACE: readonly string[] = ["-f", "-y", "-s", "64", "-e", `trace=${CALLS}`];

/** One finished system call of a trace, in the order in which they finished. */
export interface Call {
  /** Its name. */
  readonly name: string;
  /** The file that it is about. */
  readonly file: string;
  /** The line of the trace. */
  readonly text: string;
}

/** Reads `strace -f -y`: a call that another thread interrupts is split in two lines. */
export function parseTrace(trace: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, string>();
  for (const line of trace.split("\n")) {
    const match = /^(\d+)\s+(.*)$/.exec(line);
    const [, thread = "", rest = ""] = match ?? [];
    if (rest.endsWith("<unfinished ...>")) {
      unfinished.set(thread, rest.slice(0, -"<unfinished ...>".length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const text = resumed ? (unfinished.get(thread) ?? "") + resumed[1] : rest;
    const call = /^(\w+)\(\d+<([^>]*)>/.exec(text);
    if (call) calls.push({ name: call[1] ?? "", file: call[2] ?? "", text });
  }
  return calls;
}

/** Whether a call sends an answer that says 200. */
export const isAnswer = ({ name, text }: Call): boolean =>
  ["write", "writev", "sendto", "sendmsg"].includes(name) && text.includes("HTTP/1.1 200");
/** Whether a call waits for the disk. */
export const isSync = ({ name }: Call): boolean => name === "fsync" || name === "fdatasync";

/** Traces a process while something is done. */
export async function traced(pid: number, work: () => Promise<void>): Promise<Call[]> {
  const file = await Deno.makeTempFile({ prefix: "lakesync-trace-" });
  const args = [...TRACE, "-o", file, "-p", String(pid)];
  const tracer = new Deno.Command("strace", { args, stdout: "null", stderr: "piped" }).spawn();
  const reader = tracer.stderr.getReader();
  await reader.read();
  await work();
  tracer.kill("SIGINT");
  while (!(await reader.read()).done);
  await tracer.status;
  const trace = await Deno.readTextFile(file);
  await Deno.remove(file);
  return parseTrace(trace);
}
