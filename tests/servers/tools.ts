/**
 * Where programs for tests are kept that come from no package of the system: a folder of the user's
 * that outlives clones of the repository.
 *
 * @module
 */

/** The folder; `LAKESYNC_TEST_TOOLS` names another one. */
export function toolsFolder(): string {
  const own = Deno.env.get("LAKESYNC_TEST_TOOLS");
  if (own !== undefined) return own;
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/lakesync-tools`;
}
