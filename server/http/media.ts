/**
 * Which form a body has and which form an answer is to have.
 *
 * @module
 */

import { LakeSyncError, PROTOBUF_TYPE } from "@lakesync/core";

/** The two forms of the protocol. */
export type Format = "json" | "protobuf";

/** The content type of each form. */
export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  json: "application/json",
  protobuf: PROTOBUF_TYPE,
};

function mediaType(header: string): string {
  return (header.split(";", 1)[0] ?? "").trim().toLowerCase();
}

function formatOf(type: string): Format | undefined {
  if (type === CONTENT_TYPE.json) return "json";
  return type === CONTENT_TYPE.protobuf ? "protobuf" : undefined;
}

/**
 * The form of a request's body. A body without a type is taken for JSON.
 *
 * @throws {LakeSyncError} `UNSUPPORTED_MEDIA_TYPE`
 */
export function bodyFormat(headers: Headers): Format {
  const header = headers.get("Content-Type");
  const format = header === null ? "json" : formatOf(mediaType(header));
  if (format === undefined) {
    throw new LakeSyncError(
      "UNSUPPORTED_MEDIA_TYPE",
      `The Content-Type is not supported, use ${CONTENT_TYPE.json} or ${CONTENT_TYPE.protobuf}`,
    );
  }
  return format;
}

/** The values of a header with their `q`, greatest first; equal ones stay in order. */
export function byQuality(
  header: string,
): readonly { readonly name: string; readonly quality: number }[] {
  return header.split(",").map((item) => {
    const q = /;\s*q=([\d.]+)/i.exec(item)?.[1];
    return { name: mediaType(item), quality: q === undefined ? 1 : Number(q) };
  }).sort((a, b) => b.quality - a.quality);
}

/**
 * The form an answer is to have: what `Accept` prefers; where it has no opinion, the form of the
 * request's body; JSON where it wants what there is not.
 */
export function answerFormat(headers: Headers): Format {
  const asked = formatOf(mediaType(headers.get("Content-Type") ?? "")) ??
    "json";
  const accept = headers.get("Accept");
  if (accept === null || accept === "*/*") return asked;
  for (const { name, quality } of byQuality(accept)) {
    if (!(quality > 0)) continue;
    if (name === "*/*" || name === "application/*") return asked;
    const format = formatOf(name);
    if (format !== undefined) return format;
  }
  return "json";
}
