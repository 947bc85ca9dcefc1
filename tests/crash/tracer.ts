/**
 * Whether this machine can trace system calls.
 *
 * @module
 */

/** Whether `strace` is there. */
export async function hasTracer(): Promise<boolean> {
  try {
    return (await new Deno.Command("strace", { args: ["-V"], stdout: "null" }).output()).success;
  } catch {
    return false;
  }
}
