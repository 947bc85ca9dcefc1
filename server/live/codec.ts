/**
 * The two forms of frames: protobuf and JSON text, by the subprotocol.
 *
 * @module
 */

import {
  type ClientFrame,
  clientFrameFromJson,
  decodeClientFrame,
  encodeServerFrame,
  LakeSyncError,
  parseJsonBody,
  type Schema,
  type ServerFrame,
  serverFrameToJson,
} from "@lakesync/core";

/** A frame as it travels. */
export type FrameData = string | Uint8Array;

/** Reads and writes frames. */
export interface FrameCodec {
  /**
   * Reads a frame.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR`
   */
  decode(data: FrameData, schema: Schema | undefined): ClientFrame;
  /** Writes a frame. */
  encode(frame: ServerFrame): FrameData;
}

const BINARY: FrameCodec = {
  decode: (data) => {
    if (typeof data === "string") {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "A frame of lakesync.v1 is binary, lakesync.v1+json has text",
      );
    }
    return decodeClientFrame(data);
  },
  encode: encodeServerFrame,
};

const JSON_TEXT: FrameCodec = {
  decode: (data, schema) => {
    if (typeof data !== "string") {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "A frame of lakesync.v1+json is text, lakesync.v1 has binary ones",
      );
    }
    return clientFrameFromJson(parseJsonBody(data), schema);
  },
  encode: (frame) => JSON.stringify(serverFrameToJson(frame)),
};

/** The form of frames for each subprotocol. */
export const CODECS: ReadonlyMap<string, FrameCodec> = new Map([
  ["lakesync.v1", BINARY],
  ["lakesync.v1+json", JSON_TEXT],
]);
