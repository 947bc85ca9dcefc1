/**
 * What a Postgres adapter gives with each connection, as a pooler sees it.
 *
 * @module
 */

import { postgresAdapter } from "@lakesync/adapters/postgres";

/**
 * Lets an adapter connect to nobody.
 *
 * @param url an address, of which user and database count
 * @returns the parameters of its first message, by name
 */
export async function startupOf(url: string): Promise<ReadonlyMap<string, string>> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const to = new URL(url);
  to.port = String(listener.addr.port);
  const adapter = postgresAdapter({ url: to.href });
  const asked = adapter.position().catch(() => {});
  const connection = await listener.accept();
  const bytes = new Uint8Array(4_096);
  const length = await connection.read(bytes) ?? 0;
  connection.close();
  listener.close();
  await adapter.close();
  await asked;
  // Its length and the version of the protocol, then names and values, each ended by NUL.
  const texts = new TextDecoder().decode(bytes.subarray(8, length)).split("\0");
  const parameters = new Map<string, string>();
  for (let i = 0; texts[i]; i += 2) parameters.set(texts[i] ?? "", texts[i + 1] ?? "");
  return parameters;
}
