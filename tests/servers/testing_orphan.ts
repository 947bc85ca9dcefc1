/**
 * A program that starts a server, says which, and is then killed: what becomes of the server?
 *
 * @module
 */

import { startMariadb } from "./mariadb.ts";
import { startPostgres } from "./postgres.ts";

const start = Deno.args[0] === "postgres" ? startPostgres : startMariadb;
const { pid, folder } = await start({ durable: false });
console.log(JSON.stringify({ pid, folder }));
setInterval(() => {}, 60_000);
