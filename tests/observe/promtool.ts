/**
 * Prometheus' own checker, where it is installed.
 *
 * @module
 */

const FOLDER = "promtool";

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

/** Where promtool is: on the path, or among the tools of tests; undefined where it is not. */
export async function findPromtool(): Promise<string | undefined> {
  const tools = Deno.env.get("LAKESYNC_TEST_TOOLS") ??
    `${Deno.env.get("HOME") ?? "."}/.cache/lakesync-tools`;
  const folders = [`${tools}/${FOLDER}`, ...(Deno.env.get("PATH") ?? "").split(":")];
  for (const folder of folders) {
    if (await isFile(`${folder}/promtool`)) return `${folder}/promtool`;
  }
  return undefined;
}

/** What promtool said. */
export interface Checked {
  /** Its exit code. */
  readonly code: number;
  /** What it printed, line by line. */
  readonly lines: readonly string[];
}

/**
 * Runs promtool.
 *
 * @param promtool where it is
 * @param args its arguments
 * @param input its standard input
 */
export async function runPromtool(
  promtool: string,
  args: readonly string[],
  input = "",
): Promise<Checked> {
  const child = new Deno.Command(promtool, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  return { code, lines: text.split("\n").filter((line) => line.trim() !== "") };
}
