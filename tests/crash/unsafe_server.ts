/**
 * The gateway with a store that does not wait for the disk: the broken engine that the test of the
 * order must catch. Arguments: data folder, secret.
 */

import { openSqliteStores, startServer } from "@lakesync/server";

const [data = "", secret = ""] = Deno.args;
const stores = await openSqliteStores(data, { synchronous: "OFF" });
const server = await startServer({
  stores,
  trust: { secrets: [secret] },
  port: 0,
  openAccess: true,
});
console.error(`Unsafe LakeSync on ${server.url}`);
