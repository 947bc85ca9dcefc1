import { decodeServerFrame, isErrorCode } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { judge } from "./http_judge.ts";
import { frameBytes, type FrameOptions, OPCODE, readFrames } from "./http_frames.ts";
import type { Json } from "./http_api.ts";
import { BAD } from "./http_tokens.ts";
import { type Break, breaks, broken, ODD_TEXTS, valueOf, writeJson } from "./http_values.ts";
import { bytesOf, concat, exchange, headerOf, readReplies } from "./http_wire.ts";
import { API, tokenOf, TRIED, tried } from "./http_world.ts";
import { law } from "./law.ts";

/** How long a connection is looked at that the server may rightly keep open, in milliseconds. */
const LOOK_MS = 120;

const CLOSE_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1012, 4400, 4401, 4403]);

/** A key whose acceptance is known (RFC 6455, section 1.3). */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

interface Sent {
  /** A frame of the protocol by its name, or text or bytes that are none. */
  readonly message: Json | Uint8Array;
  /** How it is broken. */
  readonly bodyBreaks: readonly Break[];
  /** How its frame is written. */
  readonly frame: FrameOptions;
  /** Into how many frames it is cut. */
  readonly parts: number;
}

interface Talk {
  /** The subprotocols that are offered beside the token. */
  readonly protocol: string;
  /** The kind of token. */
  readonly token: string;
  /** Whether a right hello comes first. */
  readonly hello: boolean;
  /** What is sent then. */
  readonly sent: readonly Sent[];
}

const schema = (name: string) => valueOf(API, { $ref: `#/components/schemas/${name}` });

const message: fc.Arbitrary<Json> = fc.oneof(
  schema("Push").map((push) => ({ push: { ...push, clientId: "live" } })),
  schema("Pull").map((pull) => ({ pull: { ...pull, clientId: "live" } })),
  {
    weight: 3,
    arbitrary: fc.constantFrom<Json>(
      { ping: {} },
      { ack: { cursor: "x" } },
      { ack: {} },
      { hello: { clientId: "live" } },
      { token: { jwt: "x" } },
      {},
      [],
      null,
      { ping: {}, ack: {} },
      { odd: 1 },
    ),
  },
  fc.constantFrom(...Object.keys(BAD)).map((kind) => ({ token: { jwt: tokenOf(kind) } })),
);

const right: FrameOptions = { opcode: OPCODE.text };

const frame: fc.Arbitrary<FrameOptions> = fc.oneof(
  { arbitrary: fc.constant(right), weight: 5 },
  fc.constantFrom<FrameOptions>(
    { opcode: OPCODE.binary },
    { opcode: OPCODE.text, masked: false },
    { opcode: OPCODE.text, fin: false },
    { opcode: OPCODE.text, reserved: 4 },
    { opcode: OPCODE.continuation },
    { opcode: OPCODE.ping },
    { opcode: OPCODE.ping, fin: false },
    { opcode: OPCODE.pong },
    { opcode: OPCODE.close },
    { opcode: 3 },
    { opcode: 15 },
    { opcode: OPCODE.text, claim: 2n ** 63n },
    { opcode: OPCODE.text, claim: 2n ** 31n },
    { opcode: OPCODE.text, claim: 100n * 1024n * 1024n },
    { opcode: OPCODE.binary, claim: 3n },
    { opcode: OPCODE.ping, claim: 126n },
  ),
);

const sent: fc.Arbitrary<Sent> = fc.record({
  message: fc.oneof(
    { arbitrary: message, weight: 4 },
    fc.constantFrom(...ODD_TEXTS),
    fc.uint8Array({ maxLength: 40 }),
  ),
  bodyBreaks: fc.oneof({ arbitrary: fc.constant([]), weight: 3 }, breaks),
  frame,
  parts: fc.constantFrom(1, 1, 1, 2, 5),
});

const talk: fc.Arbitrary<Talk> = fc.record({
  protocol: fc.constantFrom(
    "lakesync.v1+json",
    "lakesync.v1+json",
    "lakesync.v1+json",
    "lakesync.v1+json",
    "lakesync.v1",
    "odd, lakesync.v1",
  ),
  token: fc.oneof(
    { arbitrary: fc.constant("client"), weight: 10 },
    fc.constantFrom("admin", "", ...Object.keys(BAD)),
  ),
  hello: fc.constantFrom(true, true, true, false),
  sent: fc.array(sent, { maxLength: 6 }),
});

function messageBytes({ message, bodyBreaks }: Sent): Uint8Array {
  if (message instanceof Uint8Array) return message;
  if (typeof message === "string") return new TextEncoder().encode(message);
  const value = bodyBreaks.length === 0 ? message : broken(message, bodyBreaks);
  return new TextEncoder().encode(writeJson(value) ?? "");
}

function framesOf(sent: Sent): Uint8Array[] {
  const bytes = messageBytes(sent);
  if (sent.parts === 1 || sent.frame.claim !== undefined) return [frameBytes(bytes, sent.frame)];
  const size = Math.ceil(bytes.length / sent.parts);
  return Array.from(
    { length: sent.parts },
    (_, i) =>
      frameBytes(bytes.subarray(i * size, (i + 1) * size), {
        ...sent.frame,
        opcode: i === 0 ? sent.frame.opcode : OPCODE.continuation,
        fin: i === sent.parts - 1 && sent.frame.fin !== false,
      }),
  );
}

function handshake({ protocol, token }: Talk): Uint8Array {
  const offered = token === "" ? protocol : `${protocol}, bearer.${tokenOf(token)}`;
  return bytesOf(
    [
      `GET /v1/sync/${TRIED} HTTP/1.1`,
      "Host: 127.0.0.1",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${KEY}`,
      `Sec-WebSocket-Protocol: ${offered}`,
      "",
      "",
    ].join("\r\n"),
  );
}

/** The codes of the closes that are sent: whoever is closed with one says the same (section 5.5.1). */
function sentCloseCodes({ sent }: Talk): ReadonlySet<number> {
  return new Set(
    sent.filter(({ frame }) => frame.opcode === OPCODE.close).map(messageBytes)
      .filter(({ length }) => length >= 2).map(closeCode),
  );
}

function closeCode(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint16(0);
}

/** Every frame of the server is one of the protocol, no fault, and a close says why. */
function checkFrames(bytes: Uint8Array, binary: boolean, echoed: ReadonlySet<number>): void {
  for (const { opcode, payload } of readFrames(bytes)) {
    switch (opcode) {
      case OPCODE.ping:
      case OPCODE.pong:
        break;
      case OPCODE.close: {
        if (payload.length === 0) break;
        const code = closeCode(payload);
        assert.ok(CLOSE_CODES.has(code) || echoed.has(code), `It was closed with ${code}`);
        break;
      }
      default: {
        assert.equal(opcode, binary ? OPCODE.binary : OPCODE.text);
        const frame: Json = binary
          ? decodeServerFrame(payload)
          : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
        const name: string = binary ? frame.type : Object.keys(frame).join();
        assert.match(name, /^(welcome|pushResult|changes|rejected|resync|error|pong)$/);
        if (name !== "error") break;
        const code: unknown = frame.error.code;
        assert.ok(isErrorCode(code) && code !== "INTERNAL_ERROR", frame.error.error);
      }
    }
  }
}

async function talkTo(port: number, talk: Talk): Promise<void> {
  const hello: Sent = {
    message: { hello: { clientId: "live", schemaVersion: 1 } },
    bodyBreaks: [],
    frame: right,
    parts: 1,
  };
  const pieces = [...(talk.hello ? [hello] : []), ...talk.sent].flatMap(framesOf);
  const { bytes } = await exchange(port, [concat(handshake(talk), ...pieces)], { ms: LOOK_MS });
  const end = bytes.findIndex((_, at) =>
    bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10
  );
  if (end < 0) return; // Nothing came in time
  const upgraded = new TextDecoder().decode(bytes.subarray(0, 12)) === "HTTP/1.1 101";
  const [reply] = readReplies(upgraded ? bytes.subarray(0, end + 4) : bytes, ["GET", "GET"]);
  assert.ok(reply);
  if (!upgraded) {
    const connect = API.operations.find(({ id }) => id === "connect");
    judge(API, connect, "GET", reply);
    return;
  }
  assert.ok(!Object.hasOwn(BAD, talk.token) && talk.token !== "", `${talk.token} opened it`);
  assert.equal(headerOf(reply, "Sec-WebSocket-Accept"), ACCEPT);
  const protocol = headerOf(reply, "Sec-WebSocket-Protocol") ?? "";
  assert.ok(talk.protocol.includes(protocol) && protocol.startsWith("lakesync.v1"));
  checkFrames(bytes.subarray(end + 4), protocol === "lakesync.v1", sentCloseCodes(talk));
}

law("live connections of any bytes are answered by frames of the protocol, and end", {
  inputs: fc.array(talk, { minLength: 1, maxLength: 8, size: "max" }),
  runs: 40,
  examples: [[{
    protocol: "lakesync.v1+json",
    token: "client",
    hello: true,
    // A close with the code 3338.
    sent: [{ message: "\r\n", bodyBreaks: [], frame: { opcode: OPCODE.close }, parts: 1 }],
  }]],
  holds: (talks) =>
    tried(async ({ port, besides, connections }) => {
      await Promise.all([...talks.map((talk) => talkTo(port, talk)), besides()]);
      const until = Date.now() + 5_000;
      while (await connections(TRIED) > 0) {
        assert.ok(Date.now() < until, "A connection that is gone still counts");
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }),
});
