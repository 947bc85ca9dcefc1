/**
 * What a configuration need not say of a lake: its folder, and what belongs in variables.
 *
 * @module
 */

import { join } from "node:path";
import { UsageError } from "../values.ts";
import { mapParts } from "./parts.ts";
import type {
  AdapterSpec,
  DestinationSpec,
  DestinationSpecs,
  LakeBucketSpec,
  LakeRestCatalogSpec,
  LakeSpec,
} from "./spec.ts";

/** Variables that are read where a lake is configured and does not say it. */
export const LAKE_VARIABLES: readonly string[] = [
  "AWS_ACCESS_KEY_ID",
  "AWS_ENDPOINT_URL",
  "AWS_ENDPOINT_URL_S3",
  "AWS_REGION",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "LAKESYNC_LAKE_CREDENTIAL",
  "LAKESYNC_LAKE_TOKEN",
];

/** The lake in the data folder, which commands take where no destination is configured. */
export const DATA_LAKE: LakeSpec = { type: "lake" };

/** Where what is not said comes from. */
export interface LakeDefaults {
  /** Reads an environment variable. */
  readonly env: (name: string) => string | undefined;
  /** The data folder. */
  readonly data: string;
}

type Env = LakeDefaults["env"];

function given<T extends string>(name: T, value: string | undefined): Partial<Record<T, string>> {
  return value === undefined || value === "" ? {} : { [name]: value } as Record<T, string>;
}

function bucketWith(env: Env, spec: LakeBucketSpec): LakeBucketSpec {
  const keys = spec.accessKeyId !== undefined ? {} : {
    ...given("accessKeyId", env("AWS_ACCESS_KEY_ID")),
    ...given("secretAccessKey", env("AWS_SECRET_ACCESS_KEY")),
    ...given("sessionToken", env("AWS_SESSION_TOKEN")),
  };
  return {
    ...given("region", env("AWS_REGION")),
    ...given("endpoint", env("AWS_ENDPOINT_URL_S3") || env("AWS_ENDPOINT_URL")),
    ...keys,
    ...spec,
  };
}

function credential(text: string): Pick<LakeRestCatalogSpec, "oauth2"> {
  const at = text.indexOf(":");
  if (at < 1 || at === text.length - 1) {
    throw new UsageError("LAKESYNC_LAKE_CREDENTIAL is like id:secret");
  }
  return { oauth2: { clientId: text.slice(0, at), clientSecret: text.slice(at + 1) } };
}

function restWith(env: Env, spec: LakeRestCatalogSpec): LakeRestCatalogSpec {
  if (spec.token !== undefined || spec.oauth2 !== undefined) return spec;
  const token = env("LAKESYNC_LAKE_TOKEN");
  if (token) return { ...spec, token };
  const id = env("LAKESYNC_LAKE_CREDENTIAL");
  return id ? { ...spec, ...credential(id) } : spec;
}

function lakeWith({ env, data }: LakeDefaults, spec: LakeSpec): LakeSpec {
  const { store = { type: "fs" }, catalog } = spec;
  return {
    ...spec,
    store: store.type === "fs"
      ? { type: "fs", folder: store.folder ?? join(data, "lake") }
      : bucketWith(env, store),
    ...(catalog?.type === "rest" ? { catalog: restWith(env, catalog) } : {}),
  };
}

/**
 * Completes the lakes of a destination.
 *
 * @param spec the destination
 * @param defaults where what is not said comes from
 * @throws {UsageError} when a variable is not of its form
 */
export function completeLakes(spec: DestinationSpec, defaults: LakeDefaults): DestinationSpec {
  const { flush, ...adapter } = spec;
  const complete = (part: AdapterSpec) => part.type === "lake" ? lakeWith(defaults, part) : part;
  return {
    ...mapParts(adapter, complete),
    ...(flush === undefined ? {} : { flush }),
  };
}

/**
 * Completes the lakes of destinations.
 *
 * @param specs the destinations by name
 * @param defaults where what is not said comes from
 * @throws {UsageError} when a variable is not of its form
 */
export function completeAll(specs: DestinationSpecs, defaults: LakeDefaults): DestinationSpecs {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, completeLakes(spec, defaults)]),
  );
}
