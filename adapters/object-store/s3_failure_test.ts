import assert from "node:assert/strict";
import { judge } from "./s3_failure.ts";

/** An error as the client throws it. */
function thrown(name: string, status?: number): Error {
  const error = new Error(name);
  error.name = name;
  return Object.assign(
    error,
    status === undefined ? {} : {
      $metadata: { httpStatusCode: status },
    },
  );
}

Deno.test("judge says what to do where a bucket or its keys are missing", () => {
  const bucket = judge(thrown("NoSuchBucket", 404), "ListObjectsV2", "shop");
  assert.equal(bucket.failure, "refused");
  assert.match(bucket.message, /^There is no bucket shop .*NoSuchBucket.*, make it first$/);
  // Keys that a machine is given come from a service that may be back.
  const keys = judge(thrown("CredentialsProviderError"), "PutObject");
  assert.equal(keys.failure, "unreachable");
  assert.match(keys.message, /^No keys .*PutObject.*, set AWS_ACCESS_KEY_ID and AWS_SECRET/);
  const signature = judge(thrown("SignatureDoesNotMatch", 403), "PutObject");
  assert.equal(signature.failure, "refused");
  assert.match(signature.message, /check bucket, credentials and rights$/);
});
