/**
 * A process that opens the SQLite stores of a folder, commits once, says so and stays.
 *
 * @module
 */

import { next, openStore } from "./_conformance_tools.ts";
import { openSqliteStores } from "./sqlite.ts";

const [folder = ""] = Deno.args;
const stores = await openSqliteStores(folder);
const store = await openStore(stores);
await store.commit(next(0, { meta: [["by", "the holder"]] }));
console.log("held");
await Deno.stdin.read(new Uint8Array(1));
