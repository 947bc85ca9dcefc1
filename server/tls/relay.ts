/**
 * Passes bytes between two connections, both ways, until both have said all or one is gone. It reads
 * no faster than the other side takes.
 *
 * @module
 */

/** What a quiet connection is read into, in bytes: there may be thousands. */
const SMALL_BYTES = 2 * 1024;
/** What a busy connection is read into, in bytes. */
const LARGE_BYTES = 64 * 1024;

/**
 * Passes bytes between two connections.
 *
 * @param one a connection
 * @param other another one
 * @returns resolves when both are at their end; one that breaks ends the other at once
 */
export async function relay(one: Deno.TcpConn, other: Deno.TcpConn): Promise<void> {
  one.setNoDelay(true);
  other.setNoDelay(true);
  const broken = () => {
    for (const connection of [one, other]) {
      try {
        connection.close();
      } catch {
        // It is gone already.
      }
    }
  };
  await Promise.all([copy(one, other).catch(broken), copy(other, one).catch(broken)]);
}

async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const small = new Uint8Array(SMALL_BYTES);
  let buffer = small;
  for (;;) {
    const size = await from.read(buffer);
    if (size === null) break;
    for (let at = 0; at < size;) at += await to.write(buffer.subarray(at, size));
    if (size < SMALL_BYTES) buffer = small;
    else if (size === buffer.length && buffer === small) buffer = new Uint8Array(LARGE_BYTES);
  }
  await to.closeWrite();
}
