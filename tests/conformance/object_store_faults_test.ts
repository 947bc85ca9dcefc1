/**
 * Buckets behind a network and a storage that fail: what is lost, answered late or refused, sent
 * twice or delivered much later. A create is never wrong, all else succeeds in the end.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type ObjectStore, ObjectStoreError } from "@lakesync/adapters/object-store";
import { openS3Objects, type S3Objects, type S3Options } from "@lakesync/adapters/object-store/s3";
import { type Fault, FaultyProxy, s3Error, SLOW_DOWN } from "../servers/faulty_proxy.ts";
import { type S3Test, s3Test } from "../servers/s3_tests.ts";

const MIB = 1024 * 1024;
const KEY = "table/v1.metadata.json";

/** Time for what is never answered. */
const SOON: Partial<S3Options> = { requestTimeoutMs: 400 };

const CONFLICT: Fault = { status: 409, body: s3Error("ConditionalRequestConflict") };

interface Bed {
  readonly objects: S3Objects;
  readonly proxy: FaultyProxy;
}

/** Opens a bucket past a proxy of its own, which breaks nothing yet; creates were tried. */
async function openBed({ server, bucket }: S3Test, options: Partial<S3Options> = {}): Promise<Bed> {
  const proxy = await FaultyProxy.open(server.access.endpoint);
  const objects = await openS3Objects({
    ...server.access,
    endpoint: proxy.url,
    bucket,
    backoffMs: 1,
    ...options,
  });
  await objects.createObject("first", new Uint8Array());
  await objects.deleteObject("first");
  proxy.seen.length = 0;
  return { objects, proxy };
}

async function withBeds(
  test: S3Test,
  count: number,
  options: Partial<S3Options>,
  run: (...beds: Bed[]) => Promise<void>,
): Promise<void> {
  const beds = await Promise.all(Array.from({ length: count }, () => openBed(test, options)));
  try {
    await run(...beds);
  } finally {
    for (const { objects, proxy } of beds) {
      await objects.close();
      await proxy[Symbol.asyncDispose]();
    }
  }
}

/** A store whose calls all reach the server. */
function openDirect({ server, bucket }: S3Test): Promise<S3Objects> {
  return openS3Objects({ ...server.access, bucket });
}

/** Breaks requests one after the other as told, and none after that. */
function follow(proxy: FaultyProxy, faults: readonly Fault[]): void {
  const left = [...faults];
  proxy.fault = () => left.shift() ?? "pass";
}

type Outcome = true | false | "unknown" | "unreachable";

async function outcomeOf(creating: Promise<boolean>): Promise<Outcome> {
  try {
    return await creating;
  } catch (error) {
    assert(error instanceof ObjectStoreError, String(error));
    assert(error.failure === "unknown" || error.failure === "unreachable", error.message);
    return error.failure;
  }
}

const anyFault = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.constantFrom<Fault>(
      "pass",
      "lost",
      "answer lost",
      "answer cut",
      "answer spoiled",
      "twice",
      SLOW_DOWN,
      CONFLICT,
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom<Fault>("silent", "held") },
);
const anyFaults = fc.array(anyFault, { maxLength: 8 });

s3Test("G10: a create is never wrong, whatever is lost, late, refused or doubled", async (test) => {
  await using direct = await openDirect(test);
  await withBeds(test, 3, { requestTimeoutMs: 150, attempts: 3 }, async (...beds) => {
    let round = 0;
    const seen = new Map<Outcome, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(anyFaults, anyFaults, anyFaults),
        fc.boolean(),
        async (schedules, same) => {
          const key = `create/${++round}`;
          const contents = beds.map((_, n) => Uint8Array.of(round & 255, same ? 0 : n));
          beds.forEach(({ proxy }, n) => follow(proxy, schedules[n] ?? []));
          const outcomes = await Promise.all(
            beds.map(({ objects }, n) =>
              outcomeOf(objects.createObject(key, contents[n] ?? new Uint8Array()))
            ),
          );
          for (const { proxy } of beds) await proxy.release();
          const there = await direct.getObject(key);
          const trues = outcomes.filter((outcome) => outcome === true).length;
          assert(trues <= 1);
          outcomes.forEach((outcome, n) => {
            seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
            if (outcome === true) assert.deepEqual(there, contents[n]);
            if (outcome === false) assert.notEqual(there, undefined);
            if (same) return;
            if (outcome === false || outcome === "unreachable") {
              assert.notDeepEqual(there, contents[n]);
            }
          });
          if (outcomes.every((outcome) => outcome === true || outcome === false)) {
            assert.equal(trues, 1);
          }
        },
      ),
      { numRuns: 40 },
    );
    assert((seen.get(true) ?? 0) > 0 && (seen.get(false) ?? 0) > 0);
  });
});

s3Test("G10: a create whose answer is lost has succeeded", async (test) => {
  await withBeds(test, 1, SOON, async ({ objects, proxy }: Bed) => {
    for (const fault of ["answer lost", "answer spoiled", "silent", "twice"] as const) {
      proxy.fault = ({ method }) => method === "PUT" ? fault : "pass";
      assert.equal(await objects.createObject(fault.replace(" ", "/"), Uint8Array.of(1)), true);
    }
  });
});

s3Test(
  "G10: a create that may still arrive is unknown, and so is one nobody can look at",
  async (test) => {
    await using direct = await openDirect(test);
    await withBeds(test, 1, { ...SOON, attempts: 2 }, async ({ objects, proxy }) => {
      proxy.fault = ({ method }) => method === "PUT" ? "held" : "pass";
      assert.equal(await outcomeOf(objects.createObject(KEY, Uint8Array.of(1))), "unknown");
      assert.equal(await direct.getObject(KEY), undefined);
      await proxy.release();
      assert.deepEqual(await direct.getObject(KEY), Uint8Array.of(1));

      await direct.deleteObject(KEY);
      proxy.fault = ({ method }) => method === "PUT" ? "answer lost" : SLOW_DOWN;
      assert.equal(await outcomeOf(objects.createObject(KEY, Uint8Array.of(2))), "unknown");
      assert.deepEqual(await direct.getObject(KEY), Uint8Array.of(2));

      // One of which no answer was lost is known, though no attempt came through.
      proxy.fault = () => CONFLICT;
      assert.equal(await outcomeOf(objects.createObject("other", Uint8Array.of(2))), "unreachable");
    });
  },
);

s3Test("G10: a create that is refused after one was in doubt is unknown", async (test) => {
  await withBeds(test, 1, SOON, async ({ objects, proxy }) => {
    let puts = 0;
    const denied = { status: 403, body: s3Error("AccessDenied") };
    proxy.fault = ({ method }) => method !== "PUT" ? "pass" : puts++ === 0 ? "held" : denied;
    assert.equal(await outcomeOf(objects.createObject(KEY, Uint8Array.of(1))), "unknown");
    await assert.rejects(objects.createObject("other", Uint8Array.of(1)), {
      failure: "refused",
      code: "AccessDenied",
    });
  });
});

s3Test("puts, reads, lists and deletes succeed by trying again", async (test) => {
  await using direct = await openDirect(test);
  const options = { attempts: 12, multipartBytes: 6 * MIB, partBytes: 5 * MIB };
  const passing = fc.array(
    fc.constantFrom<Fault>(
      "lost",
      "answer lost",
      "answer cut",
      "answer spoiled",
      "twice",
      SLOW_DOWN,
      "pass",
    ),
    { minLength: 5, maxLength: 11 },
  );
  const play = async (objects: ObjectStore, large: number) => {
    await objects.putObject("a/1", Uint8Array.of(1, 2, 3, 4));
    await objects.putObject("a/2", new Uint8Array(large).fill(9));
    assert.deepEqual(await objects.getObject("a/1"), Uint8Array.of(1, 2, 3, 4));
    assert.deepEqual(await objects.getObject("a/1", { start: -3, length: 2 }), Uint8Array.of(2, 3));
    assert.equal(await objects.getObject("a/3"), undefined);
    assert.equal((await objects.headObject("a/2"))?.bytes, large);
    const heads = await Array.fromAsync(objects.listObjects("a"));
    assert.deepEqual(heads.map(({ bytes }) => bytes).sort(), [4, large].sort());
    assert((await direct.getObject("a/2"))?.every((byte) => byte === 9));
    await objects.deleteObject("a/1");
    await objects.deleteObjects(["a/1", "a/2"]);
  };
  await withBeds(test, 1, options, async ({ objects, proxy }) => {
    await fc.assert(
      fc.asyncProperty(passing, fc.constantFrom(10, 6 * MIB + 1), async (faults, large) => {
        let n = 0;
        // Calls with several requests at once meet few of the faults each.
        proxy.fault = () => faults[n++ % (faults.length + 3)] ?? "pass";
        await play(objects, large);
        assert.deepEqual(await Array.fromAsync(direct.listObjects("")), []);
      }),
      { numRuns: 15 },
    );
  });
});

s3Test("objects are read whole from answers that have no length", async (test) => {
  await withBeds(test, 1, {}, async ({ objects, proxy }) => {
    const large = new Uint8Array(300_000).fill(1);
    await objects.putObject("a", large);
    proxy.fault = () => "chunked";
    assert.deepEqual(await objects.getObject("a"), large);
    assert.deepEqual(await objects.getObject("a", { start: -2 }), Uint8Array.of(1, 1));
  });
});

s3Test("a large put whose last answer is lost has succeeded", async (test) => {
  const options = { multipartBytes: 6 * MIB, partBytes: 5 * MIB };
  await using direct = await openDirect(test);
  await withBeds(test, 1, options, async ({ objects, proxy }) => {
    for (const fault of ["answer lost", "answer spoiled", "answer cut"] as const) {
      let broken = 0;
      proxy.fault = ({ method, path }) =>
        method === "POST" && path.includes("uploadId=") && broken++ === 0 ? fault : "pass";
      await objects.putObject(KEY, new Uint8Array(7 * MIB).fill(broken));
      assert.equal((await direct.headObject(KEY))?.bytes, 7 * MIB);
      assert(broken > 0);
      await direct.deleteObject(KEY);
    }
  });
});

s3Test(
  "a large put is the one that the storage has, when it no longer knows the upload",
  async (test) => {
    const options = { multipartBytes: 6 * MIB, partBytes: 5 * MIB };
    const gone: Fault = { status: 404, body: s3Error("NoSuchUpload") };
    await withBeds(test, 1, options, async ({ objects, proxy }) => {
      const large = new Uint8Array(7 * MIB);
      const put = (first: Fault) => {
        const faults = [first, gone];
        proxy.fault = ({ method, path }) =>
          method === "POST" && path.includes("uploadId=") ? faults.shift() ?? "pass" : "pass";
        return objects.putObject(KEY, large);
      };
      await put("answer lost");
      assert.equal((await objects.headObject(KEY))?.bytes, large.length);
      // The one that is there is an earlier one.
      await assert.rejects(put("lost"), { failure: "refused", code: "NoSuchUpload" });
    });
  },
);

s3Test("a large put that fails leaves no parts and no object", async (test) => {
  const options = { multipartBytes: 6 * MIB, partBytes: 5 * MIB, attempts: 2 };
  await using direct = await openDirect(test);
  await withBeds(test, 1, options, async ({ objects, proxy }) => {
    proxy.fault = ({ path }) => path.includes("partNumber=3") ? SLOW_DOWN : "pass";
    const put = objects.putObject(KEY, new Uint8Array(16 * MIB));
    await assert.rejects(put, { failure: "unreachable", code: "SlowDown" });
    assert.equal(proxy.seen.filter(({ path }) => path.includes("partNumber=3")).length, 2);
    assert.equal(proxy.seen.at(-1)?.method, "DELETE");
    assert.deepEqual(await Array.fromAsync(direct.listObjects("")), []);
  });
});

s3Test("what is not deleted is told, by key, and tried again where that may help", async (test) => {
  const errors = (code: string) =>
    `<DeleteResult><Error><Key>a/2</Key><Code>${code}</Code></Error></DeleteResult>`;
  await using direct = await openDirect(test);
  await withBeds(test, 1, { attempts: 3 }, async ({ objects, proxy }) => {
    await direct.putObject("a/2", Uint8Array.of(1));
    let tries = 0;
    proxy.fault = () => tries++ === 0 ? { status: 200, body: errors("InternalError") } : "pass";
    await objects.deleteObjects(["a/1", "a/2"]);
    assert.equal(tries, 2);
    assert.equal(await direct.headObject("a/2"), undefined);
    for (const [code, failure] of [["AccessDenied", "refused"], ["SlowDown", "unreachable"]]) {
      proxy.fault = () => ({ status: 200, body: errors(code ?? "") });
      const deleting = objects.deleteObjects(["a/1", "a/2"]);
      await assert.rejects(deleting, { failure, code, message: /1 of 2 objects .* a\/2/ });
    }
  });
});

s3Test("thousands are deleted by 1,000 in a request, each once", async (test) => {
  await withBeds(test, 1, {}, async ({ objects, proxy }) => {
    const keys = Array.from({ length: 2_001 }, (_, n) => `a/${n}`);
    await objects.deleteObjects([...keys, ...keys]);
    assert.equal(proxy.seen.length, 3);
    const md5s = proxy.seen.map(({ headers }) => headers["content-md5"]);
    assert(md5s.every((md5) => typeof md5 === "string"));
  });
});

s3Test("a storage that does not know conditional writes is refused", async (test) => {
  await using proxy = await FaultyProxy.open(test.server.access.endpoint);
  const { server, bucket } = test;
  await using objects = await openS3Objects({ ...server.access, endpoint: proxy.url, bucket });
  proxy.fault = ({ headers }) =>
    headers["if-none-match"] === undefined ? "pass" : { status: 200, body: "" };
  const create = () => objects.createObject(KEY, Uint8Array.of(1));
  await assert.rejects(create(), { failure: "refused", message: /If-None-Match/ });
  await assert.rejects(create(), { failure: "refused", message: /If-None-Match/ });
  assert.deepEqual(await Array.fromAsync(objects.listObjects("")), []);
});

s3Test("a server that is killed and started again is used again", async (test) => {
  await withBeds(test, 1, { attempts: 10, backoffMs: 20 }, async ({ objects }) => {
    await objects.putObject("a", Uint8Array.of(1));
    for (let round = 0; round < 2; round++) {
      await test.server.kill("SIGKILL");
      const reading = Promise.all([
        objects.getObject("a"),
        objects.createObject(`b/${round}`, Uint8Array.of(2)),
        objects.putObject(`c/${round}`, Uint8Array.of(3)),
      ]);
      await test.server.restart();
      assert.deepEqual(await reading, [Uint8Array.of(1), true, undefined]);
    }
    const keys = (await Array.fromAsync(objects.listObjects(""))).map(({ key }) => key).sort();
    assert.deepEqual(keys, ["a", "b/0", "b/1", "c/0", "c/1"]);
  });
}, { own: true });
