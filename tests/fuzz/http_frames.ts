/**
 * WebSocket frames (RFC 6455) by hand, right ones and wrong ones, and a strict reader of what a
 * server sends.
 *
 * @module
 */

import assert from "node:assert/strict";
import { concat } from "./http_wire.ts";

/** What a frame says it is. */
export const OPCODE = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** How a client's frame is written. */
export interface FrameOptions {
  /** What it says it is; 3 to 7 and 11 to 15 are nothing. */
  readonly opcode: number;
  /** Whether it ends its message. */
  readonly fin?: boolean;
  /** Reserved bits, 0 to 7; no extension uses them here. */
  readonly reserved?: number;
  /** Whether it is masked, which a client must do. */
  readonly masked?: boolean;
  /** The length it claims, in place of its own. */
  readonly claim?: bigint;
}

/** Writes a frame. */
export function frameBytes(
  payload: Uint8Array,
  { opcode, fin = true, reserved = 0, masked = true, claim }: FrameOptions,
): Uint8Array<ArrayBuffer> {
  const length = claim ?? BigInt(payload.length);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const flag = masked ? 0x80 : 0;
  let head: Uint8Array;
  if (length < 126n) head = new Uint8Array([first, flag | Number(length)]);
  else if (length < 65_536n) {
    head = new Uint8Array([first, flag | 126, Number(length >> 8n), Number(length & 255n)]);
  } else {
    head = new Uint8Array(10);
    head.set([first, flag | 127]);
    new DataView(head.buffer).setBigUint64(2, length);
  }
  if (!masked) return concat(head, payload);
  const mask = new Uint8Array([0x12, 0x34, 0x56, 0x78]);
  return concat(head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0)));
}

/** A message of the server, or its close. */
export interface Received {
  /** What it is. */
  readonly opcode: number;
  /** Its bytes. */
  readonly payload: Uint8Array;
}

/**
 * Reads a server's frames.
 *
 * @param bytes what came after the handshake
 * @returns whole frames; the last may have broken off with the connection
 */
export function readFrames(bytes: Uint8Array): readonly Received[] {
  const frames: Received[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 2 <= bytes.length;) {
    const first = view.getUint8(at);
    const second = view.getUint8(at + 1);
    assert.equal(first & 0x70, 0, "A frame has reserved bits");
    assert.equal(second & 0x80, 0, "A server's frame is masked");
    assert.ok(frames.at(-1)?.opcode !== OPCODE.close, "A frame follows the close");
    const long = second === 126 ? 2 : second === 127 ? 8 : 0;
    if (at + 2 + long > bytes.length) break;
    const length = long === 0
      ? second
      : long === 2
      ? view.getUint16(at + 2)
      : Number(view.getBigUint64(at + 2));
    at += 2 + long;
    if (at + length > bytes.length) break;
    assert.ok((first & 0x80) !== 0, "A server's message came in parts");
    frames.push({ opcode: first & 15, payload: bytes.subarray(at, at + length) });
    at += length;
  }
  return frames;
}
