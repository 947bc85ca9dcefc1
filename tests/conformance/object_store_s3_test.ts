/** What only buckets do: options, credentials, permissions, prefixes and closing. */

import assert from "node:assert/strict";
import { ObjectStoreError } from "@lakesync/adapters/object-store";
import { openS3Objects, type S3Objects, type S3Options } from "@lakesync/adapters/object-store/s3";
import { FaultyProxy } from "../servers/faulty_proxy.ts";
import { freePort } from "../servers/port.ts";
import { s3Test } from "../servers/s3_tests.ts";

const KEY = "a/b";
const BYTES = Uint8Array.of(1, 2, 3);

function callsOf(objects: S3Objects): Record<string, () => Promise<unknown>> {
  return {
    putObject: () => objects.putObject(KEY, BYTES),
    createObject: () => objects.createObject(KEY, BYTES),
    getObject: () => objects.getObject(KEY),
    headObject: () => objects.headObject(KEY),
    listObjects: () => Array.fromAsync(objects.listObjects("")),
    deleteObject: () => objects.deleteObject(KEY),
    deleteObjects: () => objects.deleteObjects([KEY]),
  };
}

async function failureOf(call: () => Promise<unknown>): Promise<ObjectStoreError> {
  try {
    await call();
  } catch (error) {
    assert(error instanceof ObjectStoreError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "It did not fail" });
}

async function assertAllFail(
  options: S3Options,
  failure: string,
  code: string | undefined,
): Promise<void> {
  await using objects = await openS3Objects({ ...options, attempts: 2, backoffMs: 1 });
  for (const [name, call] of Object.entries(callsOf(objects))) {
    const error = await failureOf(call);
    assert.equal(error.failure, failure, `${name}: ${error.message}`);
    // An answer to HEAD has no body.
    if (code !== undefined && name !== "headObject") assert.equal(error.code, code, name);
    const all = `${error.message}\n${error.stack}\n${Deno.inspect(error, { depth: 20 })}`;
    for (const secret of [options.accessKeyId, options.secretAccessKey, options.sessionToken]) {
      if (secret !== undefined) assert(!all.includes(secret), `${name} tells a secret: ${all}`);
    }
  }
}

s3Test("openS3Objects tells why a storage fails, and no secrets", async ({ server, bucket }) => {
  const access = { ...server.access, bucket };
  const [accessKeyId, secretAccessKey] = ["stranger-of-this-test", "secret-of-this-test"];
  await assertAllFail({ ...access, secretAccessKey }, "refused", "SignatureDoesNotMatch");
  await assertAllFail(
    { ...access, accessKeyId, secretAccessKey, sessionToken: "token-of-this-test" },
    "refused",
    undefined,
  );
  const nowhere = `http://127.0.0.1:${freePort()}`;
  await assertAllFail({ ...access, endpoint: nowhere }, "unreachable", "ECONNREFUSED");
});

s3Test("openS3Objects tells that there is no such bucket", async ({ server }) => {
  await using objects = await openS3Objects({ ...server.access, bucket: "nothing-here" });
  for (const call of ["putObject", "createObject", "getObject", "listObjects", "deleteObjects"]) {
    const error = await failureOf(callsOf(objects)[call] ?? (() => Promise.resolve()));
    assert.deepEqual([error.failure, error.code], ["refused", "NoSuchBucket"], call);
    assert.match(error.message, /^There is no bucket nothing-here /);
  }
});

s3Test("openS3Objects sees what is below its prefix and nothing else", async (test) => {
  const open = (prefix: string) =>
    openS3Objects({ ...test.server.access, bucket: test.bucket, ...prefix !== "" && { prefix } });
  await using all = await open("");
  await using one = await open("lake/one");
  await using two = await open("lake/one-2");
  await all.putObject("lake/other", BYTES);
  await one.putObject("x", Uint8Array.of(1));
  await two.putObject("x", Uint8Array.of(2));
  const keys = async (objects: S3Objects, folder = "") =>
    (await Array.fromAsync(objects.listObjects(folder))).map(({ key }) => key).sort();
  assert.deepEqual(await keys(one), ["x"]);
  assert.deepEqual(await keys(two), ["x"]);
  assert.deepEqual(await keys(all), ["lake/one-2/x", "lake/one/x", "lake/other"]);
  assert.deepEqual(await keys(all, "lake/one"), ["lake/one/x"]);
  await one.deleteObjects(["x"]);
  assert.deepEqual(await two.getObject("x"), Uint8Array.of(2));
});

s3Test("S3Objects fail after they were closed, and closing twice does no harm", async (test) => {
  const objects = await openS3Objects({ ...test.server.access, bucket: test.bucket });
  await objects.putObject(KEY, BYTES);
  await objects.close();
  await objects.close();
  for (const call of Object.values(callsOf(objects))) {
    assert.equal((await failureOf(call)).failure, "closed");
  }
});

s3Test("S3Objects end what is under way when they are closed", async (test) => {
  await using proxy = await FaultyProxy.open(test.server.access.endpoint);
  const { server: { access }, bucket } = test;
  const options = { ...access, endpoint: proxy.url, bucket, connections: 2, multipartBytes: 1 };
  const objects = await openS3Objects(options);
  await objects.createObject("first", BYTES);
  // Two wait for answers, the others for their turn.
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const arrivals = [one, two];
  proxy.fault = () => {
    arrivals.shift()?.resolve();
    return "silent";
  };
  const { createObject, ...others } = callsOf(objects);
  const creating = failureOf(createObject ?? (() => Promise.resolve()));
  await one.promise;
  const failures = Object.values(others).map(failureOf);
  await two.promise;
  await objects.close();
  assert.equal((await creating).failure, "unknown");
  for (const failure of failures) assert.equal((await failure).failure, "closed");
});

s3Test("S3Objects make no more requests at once than they may", async (test) => {
  await using proxy = await FaultyProxy.open(test.server.access.endpoint);
  const { server: { access }, bucket } = test;
  await using objects = await openS3Objects({
    ...access,
    endpoint: proxy.url,
    bucket,
    connections: 3,
    // Those that wait for their turn are not late.
    requestTimeoutMs: 2_000,
  });
  await objects.putObject(KEY, BYTES);
  const calls = Array.from({ length: 300 }, () => objects.getObject(KEY));
  for (const bytes of await Promise.all(calls)) assert.deepEqual(bytes, BYTES);
  assert(proxy.connections <= 3, `${proxy.connections} connections`);
});

const SCRIPT = `
  import { openS3Objects } from "@lakesync/adapters/object-store/s3";
  const options = JSON.parse(Deno.args[0]);
  if (options !== null) {
    await using objects = await openS3Objects(options);
    await objects.createObject("a", new Uint8Array(3));
    await objects.putObject("b", new Uint8Array(7 * 1024 * 1024));
    console.log((await Array.fromAsync(objects.listObjects(""))).length);
    await objects.deleteObjects(["a"]);
  }
`;

/** Runs a script as a program of its own, which may do nothing but what is allowed. */
async function runScript(allow: readonly string[], options: S3Options | null) {
  const script = await Deno.makeTempFile({ suffix: ".ts", dir: import.meta.dirname ?? "." });
  try {
    await Deno.writeTextFile(script, SCRIPT);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", ...allow, script, JSON.stringify(options)],
      env: { NO_COLOR: "1" },
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { success, out: out?.trim(), err };
  } finally {
    await Deno.remove(script);
  }
}

s3Test("openS3Objects needs no permission but for the endpoint", async ({ server, bucket }) => {
  const { host } = new URL(server.access.endpoint);
  const options = { ...server.access, bucket, multipartBytes: 5 * 1024 * 1024 };
  const { success, out, err } = await runScript([`--allow-net=${host}`, "--ignore-env"], options);
  assert.deepEqual([success, out], [true, "2"], err);
});

Deno.test("the module of openS3Objects does not load the client, which asks for variables", async () => {
  const { success, err } = await runScript([], null);
  assert.equal(success, true, err);
});

Deno.test("openS3Objects refuses options that are out of bounds", async () => {
  const good: S3Options = { bucket: "lake", region: "eu-west-1" };
  await (await openS3Objects(good)).close();
  const bad: Partial<S3Options>[] = [
    { bucket: "" },
    { bucket: "a/b" },
    { prefix: "/a" },
    { prefix: "a/" },
    { prefix: "x/".repeat(100) + "x" },
    { endpoint: "storage.example.com" },
    { endpoint: "ftp://storage.example.com" },
    { endpoint: "https://user:password@storage.example.com" },
    { endpoint: "https://storage.example.com?x=1" },
    { accessKeyId: "a" },
    { secretAccessKey: "a" },
    { sessionToken: "a" },
    { partBytes: 5 * 1024 * 1024 - 1 },
    { multipartBytes: 0 },
    { attempts: 0 },
    { attempts: 1.5 },
    { backoffMs: -1 },
    { connectTimeoutMs: 0 },
    { requestTimeoutMs: NaN },
    { connections: 0 },
  ];
  for (const options of bad) {
    const opening = openS3Objects({ ...good, ...options });
    await assert.rejects(opening, { name: "ObjectStoreError", failure: "refused" });
  }
});

Deno.test("a bucket is in the name of the host or in the path", async () => {
  const options = {
    bucket: "lake",
    endpoint: "http://storage.invalid",
    accessKeyId: "name",
    secretAccessKey: "secret",
    attempts: 1,
  };
  for (const [pathStyle, host] of [[false, "lake.storage.invalid"], [true, "storage.invalid"]]) {
    await using objects = await openS3Objects({ ...options, pathStyle: pathStyle === true });
    const error = await failureOf(() => objects.getObject(KEY));
    assert.equal(error.failure, "unreachable");
    assert.match(String(error.cause), new RegExp(` ${host}$`));
  }
});
