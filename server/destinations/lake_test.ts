import assert from "node:assert/strict";
import { UsageError } from "../values.ts";
import { completeAll, completeLakes } from "./lake_defaults.ts";
import { destinationAt, parseDestinations } from "./parse.ts";
import type { DestinationSpecs } from "./spec.ts";

function defaults(env: Record<string, string> = {}) {
  return { env: (name: string) => env[name], data: "/data" };
}

Deno.test("parseDestinations takes lakes as they are documented", () => {
  const specs: DestinationSpecs = {
    small: { type: "lake" },
    folder: { type: "lake", store: { type: "fs", folder: "/lakes/{gateway}" } },
    bucket: {
      type: "lake",
      store: {
        type: "s3",
        bucket: "lake-{gateway}",
        prefix: "apps/{gateway}",
        region: "eu-central-1",
        endpoint: "http://127.0.0.1:9000",
        pathStyle: true,
        accessKeyId: "id",
        secretAccessKey: "secret",
      },
      catalog: { type: "rest", uri: "https://catalog.example/api", warehouse: "w", token: "t" },
      namespace: "app_{gateway}",
      mergeEveryMs: 60_000,
      retentionDays: 7.5,
      checkpoints: true,
      flushFormat: "iceberg",
      flush: { everyMs: 1000 },
    },
    json: { type: "lake", flushFormat: "json" },
    part: { type: "fanout", primary: { type: "memory" }, secondaries: [{ type: "lake" }] },
  };
  assert.deepEqual(parseDestinations(specs, "destinations"), specs);
});

const s3 = { type: "s3", bucket: "lake" };
const rest = { type: "rest", uri: "https://catalog.example" };

const WRONG: readonly (readonly [object, RegExp])[] = [
  [{ url: "s3://lake" }, /^d\.a\.url is not known, there are store, catalog/],
  [{ store: "lake" }, /^d\.a\.store must be an object with a type/],
  [{ store: { type: "gcs" } }, /^d\.a\.store\.type must be one of fs, s3$/],
  [{ store: { type: "fs", folder: "" } }, /^d\.a\.store\.folder must be a text/],
  [{ store: { type: "s3" } }, /^d\.a\.store\.bucket is needed/],
  [{ store: { type: "s3", bucket: "a/b" } }, /^d\.a\.store\.bucket must be the name/],
  [{ store: { ...s3, prefix: "/a" } }, /^d\.a\.store\.prefix must be segments/],
  [{ store: { ...s3, prefix: "a/../b" } }, /^d\.a\.store\.prefix must be segments/],
  [{ store: { ...s3, endpoint: "minio:9000" } }, /^d\.a\.store\.endpoint must be an address/],
  [{ store: { ...s3, endpoint: "http://a:b@c" } }, /endpoint must be an address without user/],
  [{ store: { ...s3, accessKeyId: "id" } }, /store\.secretAccessKey is needed beside accessKeyId/],
  [{ store: { ...s3, secretAccessKey: "geheim" } }, /store\.accessKeyId is needed beside/],
  [{ catalog: { type: "object", uri: "x" } }, /^d\.a\.catalog\.uri is not known, there is none/],
  [{ catalog: { type: "rest" } }, /^d\.a\.catalog\.uri is needed/],
  [{ catalog: { ...rest, oauth2: { clientId: "a" } } }, /catalog\.oauth2\.clientSecret is needed/],
  [
    { catalog: { ...rest, token: "geheim", oauth2: { clientId: "a", clientSecret: "b" } } },
    /^d\.a\.catalog has either token or oauth2, not both/,
  ],
  [{ namespace: "a.b" }, /^d\.a\.namespace must be letters/],
  [{ namespace: "{tenant}" }, /^d\.a\.namespace must be letters/],
  [{ mergeEveryMs: 0 }, /^d\.a\.mergeEveryMs must be a whole number from 1/],
  [{ retentionDays: 0 }, /^d\.a\.retentionDays must be a number of days/],
  [{ checkpoints: 1 }, /^d\.a\.checkpoints must be a boolean/],
  [{ flushFormat: "json", checkpoints: true }, /no catalog, no merge and no checkpoints/],
  [{ flushFormat: "csv" }, /^d\.a\.flushFormat must be one of iceberg, json/],
  [{ flushFormat: "json", catalog: rest }, /^d\.a\.flushFormat json has no tables/],
  [{ flushFormat: "json", mergeEveryMs: 1 }, /^d\.a\.flushFormat json has no tables/],
];

Deno.test("parseDestinations says where a lake is wrong, and no secret", () => {
  for (const [fields, message] of WRONG) {
    assert.throws(() => parseDestinations({ a: { type: "lake", ...fields } }, "d"), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /geheim/);
      return true;
    });
  }
});

Deno.test("parseDestinations takes a lake where nobody reads it back", () => {
  const [lake, memory] = [{ type: "lake" }, { type: "memory" }];
  const composite = { type: "composite", routes: { todos: lake }, default: memory };
  const parse = (a: object) => parseDestinations({ a }, "d");
  parse(composite);
  parse({ type: "fanout", primary: memory, secondaries: [lake, composite] });
  const fanout = { type: "fanout", primary: memory, secondaries: [lake] };
  parse({ type: "fanout", primary: fanout, secondaries: [memory] });
  parse({ type: "lifecycle", hot: fanout, cold: memory, hotDays: 1 });
  for (
    const [wrong, place] of [
      [{ type: "fanout", primary: lake, secondaries: [memory] }, "d\\.a\\.primary"],
      [{ type: "fanout", primary: composite, secondaries: [memory] }, "d\\.a\\.primary"],
      [{ type: "lifecycle", hot: lake, cold: memory, hotDays: 1 }, "d\\.a\\.hot"],
      [{ type: "lifecycle", hot: memory, cold: lake, hotDays: 1 }, "d\\.a\\.cold"],
    ] as const
  ) {
    assert.throws(() => parse(wrong), new RegExp(`${place} cannot be a lake`));
  }
});

Deno.test("destinationAt reads folders and buckets", () => {
  assert.deepEqual(destinationAt("lake"), { type: "lake" });
  assert.deepEqual(destinationAt("file:///lakes/my%20lake/{gateway}"), {
    type: "lake",
    store: { type: "fs", folder: "/lakes/my lake/{gateway}" },
  });
  assert.deepEqual(destinationAt("s3://lake"), {
    type: "lake",
    store: { type: "s3", bucket: "lake" },
  });
  assert.deepEqual(
    destinationAt(
      "s3://lake_1/apps/{gateway}/?endpoint=http://127.0.0.1:9000&region=x&pathStyle=true",
    ),
    {
      type: "lake",
      store: {
        type: "s3",
        bucket: "lake_1",
        prefix: "apps/{gateway}",
        endpoint: "http://127.0.0.1:9000",
        region: "x",
        pathStyle: true,
      },
    },
  );
  const wrong = [
    "file://host/lake",
    "file:lake",
    "file:///lake?x",
    "s3://",
    "s3:///prefix",
    "s3://lake/../x",
    "s3://lake?secretAccessKey=geheim",
    "s3://lake?pathStyle=1",
    "s3://lake?endpoint=minio",
    "s3://lake#x",
  ];
  for (const url of wrong) {
    assert.throws(() => destinationAt(url), (error) => {
      assert.ok(error instanceof UsageError, url);
      assert.doesNotMatch(error.message, /geheim/);
      return true;
    }, url);
  }
});

Deno.test("completeLakes gives a lake its folder, wherever it is composed into", () => {
  const store = { type: "fs", folder: "/data/lake" };
  assert.deepEqual(completeLakes({ type: "lake" }, defaults()), { type: "lake", store });
  const spec = {
    type: "composite",
    routes: { a: { type: "fanout", primary: { type: "memory" }, secondaries: [{ type: "lake" }] } },
    default: { type: "lifecycle", hot: { type: "lake" }, cold: { type: "lake" }, hotDays: 1 },
    flush: { everyMs: 1 },
  } as const;
  assert.deepEqual(completeAll({ spec }, defaults()), {
    spec: {
      ...spec,
      routes: { a: { ...spec.routes.a, secondaries: [{ type: "lake", store }] } },
      default: {
        ...spec.default,
        hot: { type: "lake", store },
        cold: { type: "lake", store },
      },
    },
  });
});

Deno.test("completeLakes takes from variables what the configuration does not say", () => {
  const env = {
    AWS_ACCESS_KEY_ID: "id",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_SESSION_TOKEN: "session",
    AWS_REGION: "eu-west-1",
    AWS_ENDPOINT_URL: "http://general",
    AWS_ENDPOINT_URL_S3: "http://storage",
    LAKESYNC_LAKE_TOKEN: "token",
    LAKESYNC_LAKE_CREDENTIAL: "id:a:b",
  };
  const keys = { accessKeyId: "id", secretAccessKey: "secret", sessionToken: "session" };
  const bucket = { type: "s3", bucket: "lake" } as const;
  const rest = { type: "rest", uri: "https://catalog" } as const;
  const complete = (store: object, catalog: object, variables: Record<string, string> = env) =>
    completeLakes({ type: "lake", store, catalog } as never, defaults(variables));
  assert.deepEqual(complete(bucket, rest), {
    type: "lake",
    store: { ...bucket, ...keys, region: "eu-west-1", endpoint: "http://storage" },
    catalog: { ...rest, token: "token" },
  });
  const own = {
    ...bucket,
    accessKeyId: "x",
    secretAccessKey: "y",
    region: "r",
    endpoint: "http://e",
  };
  const granted = { ...rest, oauth2: { clientId: "a", clientSecret: "b" } };
  assert.deepEqual(complete(own, granted), { type: "lake", store: own, catalog: granted });
  const { LAKESYNC_LAKE_TOKEN: _, ...others } = env;
  assert.deepEqual(
    Reflect.get(complete(bucket, rest, others), "catalog"),
    { ...rest, oauth2: { clientId: "id", clientSecret: "a:b" } },
  );
  assert.throws(
    () => complete(bucket, rest, { LAKESYNC_LAKE_CREDENTIAL: "geheim" }),
    (error) => error instanceof UsageError && !error.message.includes("geheim"),
  );
  assert.deepEqual(complete(bucket, { type: "object" }, {}), {
    type: "lake",
    store: bucket,
    catalog: { type: "object" },
  });
});
