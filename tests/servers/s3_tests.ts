/**
 * Tests on a real server that speaks S3, in one line each: skipped, with the reason, where there is
 * none.
 *
 * @module
 */

import { findS3, type S3Server, startS3 } from "./s3.ts";

/** What a test gets. */
export interface S3Test {
  /** An empty bucket of the test's own. */
  readonly bucket: string;
  /** The server it is on. */
  readonly server: S3Server;
}

const found = await findS3();
let told = false;
let sharing = false;
let shared: S3Server | undefined;

/** Whether tests on S3 are to be skipped; prints the reason, once a file. */
export function isS3Missing(): boolean {
  if (!("missing" in found)) return false;
  if (!told) console.log(`skipped: ${found.missing}`);
  told = true;
  return true;
}

/** The server that all tests of a file share; started before them and stopped after them. */
export function sharedS3(): () => S3Server {
  if (!sharing && !isS3Missing()) {
    sharing = true;
    Deno.test.beforeAll(async () => {
      shared = await startS3();
    });
    Deno.test.afterAll(async () => {
      await shared?.stop();
    });
  }
  return () => {
    if (shared === undefined) throw new Error("The server for S3 of this file did not start");
    return shared;
  };
}

/**
 * Registers a test on a real server, which the tests of a file share.
 *
 * @param name the test's name
 * @param run the test
 * @param options whether it has a server of its own, since it kills or restarts it
 */
export function s3Test(
  name: string,
  run: (test: S3Test) => Promise<void>,
  options: { readonly own?: boolean } = {},
): void {
  const ignore = isS3Missing();
  const server = options.own ? undefined : sharedS3();
  Deno.test({
    name: `${name} (s3)`,
    ignore,
    fn: async () => {
      if (server !== undefined) {
        return await run({ server: server(), bucket: await server().createBucket() });
      }
      await using own = await startS3();
      await run({ server: own, bucket: await own.createBucket() });
    },
  });
}
