/**
 * A gateway on a small disk.
 *
 * @module
 */

import { Site } from "./support_site.ts";
import { Tmpfs } from "./support_tmpfs.ts";

/** A gateway and its disk, closed together. */
export interface OnDisk extends AsyncDisposable {
  /** The gateway. */
  readonly site: Site;
  /** The disk. */
  readonly disk: Tmpfs;
}

/**
 * Starts a gateway on a small disk.
 *
 * @param store its store
 * @param bytes the size of the disk
 * @param folder what of the data folder is on it, for instance `/objects`; all unless given
 */
export async function openOnDisk(
  store: "sqlite" | "kv",
  bytes: number,
  folder = "",
): Promise<OnDisk> {
  await using stack = new AsyncDisposableStack();
  const data = await Deno.makeTempDir({ prefix: "lakesync-disk-" });
  stack.defer(() => Deno.remove(data, { recursive: true }));
  await Deno.mkdir(`${data}${folder}`, { recursive: true });
  const disk = stack.use(await Tmpfs.mount(`${data}${folder}`, bytes));
  const site = stack.use(await Site.open({ store, data, wrapper: disk.wrapper }));
  const held = stack.move();
  return { site, disk, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
