import assert from "node:assert/strict";
import { findS3, startS3 } from "../servers/s3.ts";
import { databaseTest } from "../servers/tests.ts";

const ROOT = new URL("../../", import.meta.url);

/** Runs the demo with a destination, whose name it says at the end. */
async function assertDemo(
  to: string,
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const args = ["task", "demo", "--rows", "5000", "--kills", "2", "--to", to];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(code, 0, `${out}\n${errors}`);
  assert.ok(
    out?.includes(`All four databases and the gateway and ${name} hold the same rows.`),
    out,
  );
  assert.ok(errors?.includes("SIGKILL 2 of 2"), errors);
  const sums = [...`${out}`.matchAll(/^\w+ +([0-9a-f]{16})$/gm)].map(([, sum]) => sum);
  assert.equal(sums.length, 6, out);
  assert.equal(new Set(sums).size, 1, out);
}

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    "the demo flushes to a database that holds the same rows, though the gateway is killed",
    ({ url }) => assertDemo(url, product === "postgres" ? "postgres" : "mysql"),
  );
}

Deno.test("the demo flushes to a lake that holds the same rows, though the gateway is killed", () =>
  assertDemo("lake", "the lake"));

const s3 = await findS3();

Deno.test({
  name: "the demo flushes to a bucket that holds the same rows, though the gateway is killed",
  ignore: "missing" in s3,
  fn: async () => {
    await using server = await startS3();
    const { endpoint, accessKeyId, secretAccessKey } = server.access;
    const bucket = await server.createBucket();
    await assertDemo(`s3://${bucket}/apps?endpoint=${endpoint}`, "the lake", {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
  },
});
