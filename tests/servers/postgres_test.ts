import assert from "node:assert/strict";
import postgres from "postgres";
import { findPostgres, startPostgres } from "./postgres.ts";

const found = await findPostgres();
const ignore = "missing" in found;

Deno.test({
  name: "startPostgres keeps what was committed when it is killed and restarted",
  ignore,
  fn: async () => {
    await using server = await startPostgres();
    const url = await server.createDatabase();
    const before = postgres(url, { max: 1 });
    await before`CREATE TABLE notes AS SELECT 42 AS n`;
    await before.end();
    await server.kill("SIGKILL");
    await server.restart();
    const after = postgres(url, { max: 1 });
    assert.deepEqual([...await after`SELECT n FROM notes`], [{ n: 42 }]);
    await after.end();
  },
});
