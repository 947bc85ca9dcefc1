import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { startMariadb } from "../servers/mariadb.ts";
import type { DatabaseServer } from "../servers/server.ts";
import { isMissing } from "../servers/tests.ts";
import { adapterConformance } from "./suite.ts";

const ignore = isMissing("mariadb");
let server: DatabaseServer | undefined;

if (!ignore) {
  Deno.test.beforeAll(async () => {
    server = await startMariadb({ durable: false });
  });
  Deno.test.afterAll(async () => {
    await server?.stop();
  });
}

adapterConformance("mariadb", async () => {
  if (server === undefined) throw new Error("MariaDB did not start");
  const url = await server.createDatabase();
  let adapter = mysqlAdapter({ url });
  return {
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = mysqlAdapter({ url });
    },
    close: () => adapter.close(),
  };
}, { ignore });
