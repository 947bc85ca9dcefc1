/** Protocol bytes: what decodes is a message, and nothing else happens. */

import {
  decodeClientFrame,
  decodeDeltas,
  decodeError,
  decodePull,
  decodePullResult,
  decodePush,
  decodePushResult,
  decodeServerFrame,
  encodeClientFrame,
  encodeDeltas,
  encodeError,
  encodePull,
  encodePullResult,
  encodePush,
  encodePushResult,
  encodeServerFrame,
} from "@lakesync/core";
import type fc from "fast-check";
import assert from "node:assert/strict";
import * as messages from "../../core/protocol/testing_messages.ts";
import { hostileBytes } from "./bytes.ts";
import { readHostile } from "./hostile.ts";
import { law } from "./law.ts";

const RUNS = 1_500;

function lawsOf<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  encode: (message: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): void {
  law(`decode${name} reads what encode${name} wrote`, {
    inputs,
    runs: 200,
    holds: (message) => assert.deepStrictEqual(decode(encode(message)), message),
  });

  law(`decode${name} refuses any bytes by VALIDATION_ERROR or reads what can be written again`, {
    inputs: hostileBytes(inputs.map(encode)),
    runs: RUNS,
    holds: (bytes) => {
      const given = bytes.slice();
      const read = readHostile(() => decode(bytes));
      assert.deepStrictEqual(bytes, given, "It changed its input");
      if (read.refused) return;
      const again = decode(encode(read.value));
      assert.deepStrictEqual(again, read.value);
      assert.deepStrictEqual(encode(again), encode(read.value));
    },
  });
}

lawsOf("Push", messages.push, encodePush, decodePush);
lawsOf("PushResult", messages.pushResult, encodePushResult, decodePushResult);
lawsOf("Pull", messages.pull, encodePull, decodePull);
lawsOf("PullResult", messages.pullResult, encodePullResult, decodePullResult);
lawsOf("Error", messages.errorBody, encodeError, decodeError);
lawsOf("Deltas", messages.deltas, encodeDeltas, decodeDeltas);
lawsOf("ClientFrame", messages.clientFrame, encodeClientFrame, decodeClientFrame);
lawsOf("ServerFrame", messages.serverFrame, encodeServerFrame, decodeServerFrame);
