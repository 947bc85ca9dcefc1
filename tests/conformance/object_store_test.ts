import { memoryObjects, openFileObjects } from "@lakesync/adapters";
import { openS3Objects } from "@lakesync/adapters/object-store/s3";
import { isS3Missing, sharedS3 } from "../servers/s3_tests.ts";
import { objectStoreConformance } from "./object_store.ts";

const MIB = 1024 * 1024;

objectStoreConformance("memory", (test) => test(memoryObjects()), {
  ignore: false,
  runs: 300,
  many: 2_500,
});

objectStoreConformance("fs", async (test) => {
  const folder = await Deno.makeTempDir();
  try {
    await test(await openFileObjects(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}, { ignore: false, runs: 20, many: 2_500 });

const server = sharedS3();

objectStoreConformance("s3", async (test) => {
  await using objects = await openS3Objects({
    ...server().access,
    bucket: await server().createBucket(),
    prefix: "some/prefix",
    multipartBytes: 6 * MIB,
    partBytes: 5 * MIB,
  });
  await test(objects);
}, { ignore: isS3Missing(), runs: 20, many: 2_500 });
