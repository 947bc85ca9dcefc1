import assert from "node:assert/strict";
import { openS3Objects } from "@lakesync/adapters/object-store/s3";
import { isAlive } from "./processes.ts";
import { freePort } from "./port.ts";
import { startS3 } from "./s3.ts";
import { isS3Missing, s3Test } from "./s3_tests.ts";

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

s3Test("s3Test gives each test a bucket of its own", async ({ server, bucket }) => {
  const other = await server.createBucket();
  await using mine = await openS3Objects({ ...server.access, bucket });
  await using theirs = await openS3Objects({ ...server.access, bucket: other });
  await mine.putObject("a", new Uint8Array(1));
  assert.equal(await theirs.headObject("a"), undefined);
});

s3Test("a server for S3 keeps what it was given when it is killed", async (test) => {
  const { server, bucket } = test;
  for (const [n, signal] of (["SIGKILL", "SIGTERM"] as const).entries()) {
    await using objects = await openS3Objects({ ...server.access, bucket });
    await objects.putObject(`a/${n}`, Uint8Array.of(n));
    const { pid } = server;
    await server.kill(signal);
    assert.equal(await isAlive(pid), false);
    await server.restart();
    assert.deepEqual(await objects.getObject(`a/${n}`), Uint8Array.of(n));
  }
}, { own: true });

Deno.test({
  name: "startS3 takes another port when one is taken, and leaves nothing behind",
  ignore: isS3Missing(),
  fn: async () => {
    const taken = Deno.listen({ hostname: "127.0.0.1", port: freePort() });
    const ports = [taken.addr.port, freePort()];
    const server = await startS3({ choosePort: () => ports.shift() ?? freePort() });
    const { pid, folder } = server;
    assert.equal(ports.length, 0);
    taken.close();
    await server.stop();
    assert.deepEqual([await isAlive(pid), await isThere(folder)], [false, false]);
  },
});
