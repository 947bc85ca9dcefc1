import { postgresAdapter } from "@lakesync/adapters/postgres";
import { startPostgres } from "../servers/postgres.ts";
import type { DatabaseServer } from "../servers/server.ts";
import { isMissing } from "../servers/tests.ts";
import { adapterConformance } from "./suite.ts";

const ignore = isMissing("postgres");
let server: DatabaseServer | undefined;

if (!ignore) {
  Deno.test.beforeAll(async () => {
    server = await startPostgres({ durable: false });
  });
  Deno.test.afterAll(async () => {
    await server?.stop();
  });
}

adapterConformance("postgres", async () => {
  if (server === undefined) throw new Error("Postgres did not start");
  const url = await server.createDatabase();
  let adapter = postgresAdapter({ url });
  return {
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = postgresAdapter({ url });
    },
    close: () => adapter.close(),
  };
}, { ignore });
