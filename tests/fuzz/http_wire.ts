/**
 * HTTP/1.1 by hand over TCP, so that a request may be wrong in any place, and nothing tidies it up
 * on its way. What comes back is read strictly.
 *
 * @module
 */

import assert from "node:assert/strict";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

/** No answer to any request takes longer, in milliseconds; for a busy machine. */
export const ANSWER_MS = 8_000;

/** An answer. */
export interface Reply {
  /** The status code. */
  readonly status: number;
  /** The headers, names in lower case, in the order they came. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The body, decompressed. */
  readonly body: Uint8Array;
}

/** The value of a header; undefined when there is none. */
export function headerOf({ headers }: Reply, name: string): string | undefined {
  const found = headers.filter(([header]) => header === name.toLowerCase());
  assert.ok(found.length <= 1, `The header ${name} is there twice`);
  return found[0]?.[1];
}

/** Bytes of a text, one for each character up to 255, UTF-8 for others. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return /^[\0-\xff]*$/.test(text)
    ? Uint8Array.from(text, (c) => c.charCodeAt(0))
    : new TextEncoder().encode(text);
}

/** Puts bytes together. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** What came over a connection before it ended or fell silent. */
export interface Received {
  /** All bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the server closed the connection in time. */
  readonly closed: boolean;
}

/**
 * Writes pieces to a new connection and reads until the server ends it, or for a time.
 *
 * @param port where the server listens on loopback
 * @param pieces what is written, each by itself
 * @param options `close` ends the writing side afterwards; `leave` closes without reading; `ms` is
 * how long to read
 * @returns what came back
 */
export async function exchange(
  port: number,
  pieces: readonly Uint8Array[],
  { close = false, leave = false, ms = ANSWER_MS, done = () => false }: {
    readonly close?: boolean;
    readonly leave?: boolean;
    readonly ms?: number;
    readonly done?: (bytes: Uint8Array) => boolean;
  } = {},
): Promise<Received> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const end = AbortSignal.timeout(ms);
  let closed = false;
  const stop = () => {
    if (!closed) connection.close();
    closed = true;
  };
  end.addEventListener("abort", stop);
  const writing = (async () => {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length;) at += await connection.write(piece.subarray(at));
    }
    if (close) await connection.closeWrite();
  })().catch(() => {});
  let bytes = new Uint8Array();
  let ended = false;
  try {
    if (leave) await writing;
    else {
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const length = await connection.read(buffer);
        if (length === null) {
          ended = true;
          break;
        }
        bytes = concat(bytes, buffer.subarray(0, length));
        if (done(bytes)) break;
      }
    }
  } catch {
    ended = !end.aborted; // Reset by the server, unless it is our own close
  } finally {
    end.removeEventListener("abort", stop);
    stop();
    await writing;
  }
  return { bytes, closed: ended };
}

const HEAD_END = [13, 10, 13, 10];

function indexOf(bytes: Uint8Array, what: readonly number[], from: number): number {
  for (let at = from; at + what.length <= bytes.length; at++) {
    if (what.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

const latin1 = new TextDecoder("latin1");

function readChunked(bytes: Uint8Array, start: number): [body: Uint8Array, next: number] {
  const chunks: Uint8Array[] = [];
  for (let at = start;;) {
    const line = indexOf(bytes, [13, 10], at);
    assert.ok(line >= 0, "A chunked body broke off");
    const size = parseInt(latin1.decode(bytes.subarray(at, line)), 16);
    at = line + 2;
    assert.ok(at + size + 2 <= bytes.length, "A chunk broke off");
    if (size === 0) return [concat(...chunks), at + 2];
    chunks.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
}

function decompress(body: Uint8Array, encoding: string | undefined): Uint8Array {
  switch (encoding) {
    case undefined:
      return body;
    case "gzip":
      return gunzipSync(body);
    case "br":
      return brotliDecompressSync(body);
    case "zstd":
      return zstdDecompressSync(body);
    default:
      throw new Error(`An answer came compressed by ${encoding}`);
  }
}

/**
 * Reads answers.
 *
 * @param bytes what came over a connection
 * @param methods the methods of the requests, since HEAD has no body
 * @returns the answers; those that say 100 are left out
 */
export function readReplies(bytes: Uint8Array, methods: readonly string[]): readonly Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = indexOf(bytes, HEAD_END, at);
    assert.ok(end >= 0, "The head of an answer broke off");
    const [first = "", ...lines] = latin1.decode(bytes.subarray(at, end)).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: [ -~]*)?$/.exec(first)?.[1]);
    assert.ok(status >= 100 && status <= 599, `This is no status line: ${first.slice(0, 100)}`);
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      assert.match(line.slice(0, colon), /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "A header has no name");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    at = end + HEAD_END.length;
    if (status === 100) continue;
    const value = (name: string) => headers.find(([header]) => header === name)?.[1];
    let body: Uint8Array = new Uint8Array();
    if (methods[replies.length] === "HEAD" || status === 304 || status < 200) { /* it has none */ }
    else if (value("transfer-encoding") === "chunked") [body, at] = readChunked(bytes, at);
    else {
      const length = Number(value("content-length") ?? bytes.length - at);
      assert.ok(at + length <= bytes.length, "A body broke off");
      body = bytes.subarray(at, at + length);
      at += length;
    }
    replies.push({ status, headers, body: decompress(body, value("content-encoding")) });
    if (status === 101) break;
  }
  return replies;
}

/** A request as it is sent. */
export interface WireRequest {
  /** The method. */
  readonly method: string;
  /** The request target. */
  readonly target: string;
  /** All headers but `Host`, `Content-Length` and `Connection`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The body. */
  readonly body?: Uint8Array;
}

/** Writes a request that is the last of its connection. */
export function requestBytes(
  { method, target, headers, body }: WireRequest,
  connection = "close",
): Uint8Array<ArrayBuffer> {
  const all = [
    ["Host", "127.0.0.1"],
    ...headers,
    ...(body === undefined ? [] : [["Content-Length", String(body.length)]]),
    ["Connection", connection],
  ];
  const head = `${method} ${target} HTTP/1.1\r\n${
    all.map(([name, value]) => `${name}: ${value}\r\n`).join("")
  }\r\n`;
  return concat(bytesOf(head), body ?? new Uint8Array());
}
