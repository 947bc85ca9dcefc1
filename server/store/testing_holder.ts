/**
 * A process that opens the SQLite stores of a folder, commits twice, says so and stays.
 *
 * @module
 */

import { next, openStore } from "./_conformance_tools.ts";
import { openSqliteStores } from "./sqlite.ts";

const [folder = ""] = Deno.args;
const stores = await openSqliteStores(folder);
const store = await openStore(stores);
await store.commit(next(0, { meta: [["by", "the holder"]] }));
const large = await store.beginLarge();
await large.write({ meta: [["large", "too"]] });
await large.commit(next(1));
console.log("held");
await Deno.stdin.read(new Uint8Array(1));
