/**
 * Lakes by an address, as `--to` gives them.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { UsageError } from "../values.ts";
import { LAKE_STORE } from "./lake_fields.ts";
import type { LakeBucketSpec, LakeSpec } from "./spec.ts";

const PARAMETERS: readonly string[] = ["region", "endpoint", "pathStyle"];

function bucketAt(url: string): LakeBucketSpec {
  const [, place = "", query = ""] = /^s3:\/\/([^?#]*)(?:\?(.*))?$/i.exec(url) ?? [];
  const [bucket = "", ...segments] = place.split("/");
  const prefix = segments.join("/").replace(/\/+$/, "");
  const given = new URLSearchParams(query);
  for (const name of given.keys()) {
    if (PARAMETERS.includes(name)) continue;
    throw new UsageError(
      `An address of a bucket has ${PARAMETERS.join(", ")} behind ?, not ${name.slice(0, 64)}; ` +
        "keys belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  }
  const [region, endpoint, pathStyle] = PARAMETERS.map((name) => given.get(name));
  if (pathStyle !== null && pathStyle !== undefined && !/^(true|false)$/.test(pathStyle)) {
    throw new UsageError("pathStyle of an address is true or false");
  }
  return {
    type: "s3",
    bucket,
    ...(prefix === "" ? {} : { prefix }),
    ...(region ? { region } : {}),
    ...(endpoint ? { endpoint } : {}),
    ...(pathStyle ? { pathStyle: pathStyle === "true" } : {}),
  };
}

/**
 * The lake at an address.
 *
 * @param url `file:///folder`, or `s3://bucket/prefix?endpoint=…&region=…&pathStyle=…`
 * @throws {UsageError} when it is none
 */
export function lakeAt(url: string): LakeSpec {
  if (/^s3:/i.test(url)) {
    const store = bucketAt(url);
    LAKE_STORE(store, "The address");
    return { type: "lake", store };
  }
  const { host, search } = new URL(url);
  if (!/^file:\/\/\//i.test(url) || host !== "" || search !== "") {
    throw new UsageError("The address of a folder is like file:///folder");
  }
  return { type: "lake", store: { type: "fs", folder: fileURLToPath(url) } };
}
