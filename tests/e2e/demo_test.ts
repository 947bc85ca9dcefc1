import assert from "node:assert/strict";
import { databaseTest } from "../servers/tests.ts";

const ROOT = new URL("../../", import.meta.url);

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    "the demo flushes to a database that holds the same rows, though the gateway is killed",
    async ({ url }) => {
      const args = ["task", "demo", "--rows", "5000", "--kills", "2", "--to", url];
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args,
        cwd: ROOT,
        env: { NO_COLOR: "1" },
      }).output();
      const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assert.equal(code, 0, `${out}\n${errors}`);
      const name = product === "postgres" ? "postgres" : "mysql";
      assert.ok(
        out?.includes(`All four databases and the gateway and ${name} hold the same rows.`),
        out,
      );
      assert.ok(errors?.includes("SIGKILL 2 of 2"), errors);
      const sums = [...`${out}`.matchAll(/^\w+ +([0-9a-f]{16})$/gm)].map(([, sum]) => sum);
      assert.equal(sums.length, 6, out);
      assert.equal(new Set(sums).size, 1, out);
    },
  );
}
