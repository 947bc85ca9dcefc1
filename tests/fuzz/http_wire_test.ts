import assert from "node:assert/strict";
import fc from "fast-check";
import { judgeAny } from "./http_judge.ts";
import { bytesOf, concat, exchange, readReplies, requestBytes } from "./http_wire.ts";
import { API, tokenOf, TRIED, tried } from "./http_world.ts";
import { law } from "./law.ts";

/** How long a connection is looked at that the server may rightly keep open, in milliseconds. */
const LOOK_MS = 150;

const push = (mutationId: number) =>
  JSON.stringify({
    clientId: "wire",
    transactions: [{
      mutationId,
      deltas: [{ op: "INSERT", table: "todos", rowId: `w${mutationId}`, columns: {} }],
    }],
  });

/** The head of a push, without what says how long its body is. */
function head(...more: readonly string[]): string {
  return [
    `POST /v1/sync/${TRIED}/push HTTP/1.1`,
    "Host: 127.0.0.1",
    `Authorization: Bearer ${tokenOf("client")}`,
    "Content-Type: application/json",
    ...more,
    "",
    "",
  ].join("\r\n");
}

function chunked(pieces: readonly string[]): string {
  return pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("") +
    "0\r\n\r\n";
}

const body = push(1);
const sized = head(`Content-Length: ${body.length}`) + body;

/** Streams of bytes that are no right request, or end too early, or come in a strange way. */
const STREAMS: Readonly<Record<string, string>> = {
  "nothing": "",
  "no HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "HTTP/0.9": "GET /livez\r\n\r\n",
  "HTTP/1.0": "GET /livez HTTP/1.0\r\n\r\n",
  "HTTP/9.9": "GET /livez HTTP/9.9\r\nHost: a\r\n\r\n",
  "no Host": "GET /livez HTTP/1.1\r\n\r\n",
  "two Hosts": "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "odd Host": "GET /livez HTTP/1.1\r\nHost: a/../b?c=\\\r\n\r\n",
  "odd Host of a redirect": "GET /sync/a HTTP/1.1\r\nHost: a:99999\r\n\r\n",
  "absolute target": "GET http://elsewhere.test/v1/admin/gateways HTTP/1.1\r\nHost: a\r\n\r\n",
  "absolute target of odd form": "GET http://[::1/livez HTTP/1.1\r\nHost: a\r\n\r\n",
  "asterisk": "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "authority": "CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: a\r\n\r\n",
  "trace": "TRACE /livez HTTP/1.1\r\nHost: a\r\n\r\n",
  "target without slash": "GET livez HTTP/1.1\r\nHost: a\r\n\r\n",
  "odd method": "G\x00T /livez HTTP/1.1\r\nHost: a\r\n\r\n",
  "long method": `${"G".repeat(5_000)} /livez HTTP/1.1\r\nHost: a\r\n\r\n`,
  "long target": `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  "raw bytes in target": "GET /v1/sync/\xff\xfe/pull HTTP/1.1\r\nHost: a\r\n\r\n",
  "space in target": "GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n",
  "line feeds only": "GET /livez HTTP/1.1\nHost: a\n\n",
  "carriage returns only": "GET /livez HTTP/1.1\rHost: a\r\r",
  "folded header": "GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\r\n b\r\n\r\n",
  "space before colon": "GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
  "no colon": "GET /livez HTTP/1.1\r\nHost a\r\n\r\n",
  "NUL in header": "GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\x00b\r\n\r\n",
  "many headers": `GET /livez HTTP/1.1\r\nHost: a\r\n${"X-A: b\r\n".repeat(300)}\r\n`,
  "large headers": `GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ${"b".repeat(600_000)}\r\n\r\n`,
  "half a head": "GET /livez HTTP/1.1\r\nHost: a\r\nX-Req",
  "half a body": head(`Content-Length: ${body.length}`) + body.slice(0, 20),
  "body longer than said": head("Content-Length: 10") + body,
  "negative length": head("Content-Length: -1") + body,
  "length that is none": head("Content-Length: ten") + body,
  "huge length": head("Content-Length: 99999999999999999999") + body,
  "length beyond the limit": head("Content-Length: 4000000000") + body,
  "two lengths": head(`Content-Length: ${body.length}`, "Content-Length: 3") + body,
  "length and chunks": head("Content-Length: 3", "Transfer-Encoding: chunked") + chunked([body]),
  "chunks": head("Transfer-Encoding: chunked") + chunked([body.slice(0, 9), body.slice(9)]),
  "chunks of one byte": head("Transfer-Encoding: chunked") + chunked([...body]),
  "chunks with extensions": head("Transfer-Encoding: chunked") +
    `${body.length.toString(16)};a=b\r\n${body}\r\n0;c\r\nX-Trailer: d\r\n\r\n`,
  "chunk without size": head("Transfer-Encoding: chunked") + `zz\r\n${body}\r\n0\r\n\r\n`,
  "chunk of huge size": head("Transfer-Encoding: chunked") + `ffffffffffffffffff\r\n${body}`,
  "chunk of negative size": head("Transfer-Encoding: chunked") + `-5\r\n${body}\r\n0\r\n\r\n`,
  "chunk without end": head("Transfer-Encoding: chunked") + `5\r\nabcdefgh\r\n0\r\n\r\n`,
  "chunks that stop": head("Transfer-Encoding: chunked") + `5\r\nabcde\r\n`,
  "unknown transfer encoding": head("Transfer-Encoding: gzip, odd") + body,
  "chunked twice": head("Transfer-Encoding: chunked, chunked") + chunked([body]),
  "expect": head(`Content-Length: ${body.length}`, "Expect: 100-continue") + body,
  "odd expect": head(`Content-Length: ${body.length}`, "Expect: a-miracle") + body,
  "GET with a body": `GET /v1/sync/${TRIED}/pull?clientId=wire HTTP/1.1\r\nHost: a\r\n` +
    `Authorization: Bearer ${tokenOf("client")}\r\nContent-Length: 4\r\n\r\nbody`,
  "upgrade without a key": handshake([]),
  "upgrade with a short key": handshake(["Sec-WebSocket-Key: YQ==", "Sec-WebSocket-Version: 13"]),
  "upgrade of an old version": handshake([
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 8",
  ]),
  "upgrade without Connection": handshake([
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  ], "keep-alive"),
  "upgrade by POST": handshake([
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  ]).replace("GET", "POST"),
  "upgrade to h2c": "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
  "a right push": sized,
  "five right pushes in a row": sized.repeat(5),
  "a probe behind a push": sized + "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
  "a wrong one behind a right one": sized + "\x00\x01\x02",
};

function handshake(headers: readonly string[], connection = "Upgrade"): string {
  return [
    `GET /v1/sync/${TRIED} HTTP/1.1`,
    "Host: a",
    `Authorization: Bearer ${tokenOf("client")}`,
    "Upgrade: websocket",
    `Connection: ${connection}`,
    "Sec-WebSocket-Protocol: lakesync.v1+json",
    ...headers,
    "",
    "",
  ].join("\r\n");
}

interface Attempt {
  /** What is sent. */
  readonly name: string;
  /** Where it is cut into pieces. */
  readonly cuts: readonly number[];
  /** A byte that is changed, or none. */
  readonly flip: readonly [place: number, byte: number] | undefined;
  /** What happens at its end. */
  readonly end: "leave" | "half-close" | "stay";
}

const attempt: fc.Arbitrary<Attempt> = fc.record({
  name: fc.constantFrom(...Object.keys(STREAMS)),
  cuts: fc.array(fc.nat(2_000), { maxLength: 4 }),
  flip: fc.option(fc.tuple(fc.nat(900), fc.nat(255)), { nil: undefined, freq: 3 }),
  end: fc.constantFrom("leave", "half-close", "half-close", "stay"),
});

function piecesOf({ name, cuts, flip }: Attempt): Uint8Array[] {
  const bytes = bytesOf(STREAMS[name] ?? "");
  if (flip !== undefined && bytes.length > 0) bytes[flip[0] % bytes.length] = flip[1];
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])]
    .sort((a, b) => a - b);
  return places.slice(1).map((place, i) => bytes.subarray(places[i], place));
}

/** Every answer is one of the gateway's, or a bare refusal by the HTTP server below it. */
function checkAnswers(bytes: Uint8Array, name: string): void {
  if (name === "HTTP/2 preface") return; // It is spoken, in another form
  const method = /^(\w+) /.exec(STREAMS[name] ?? "")?.[1] ?? "GET";
  for (const reply of readReplies(bytes, Array<string>(20).fill(method))) {
    if (reply.status === 101) return;
    const bare = reply.headers.every(([header]) => header !== "api-version");
    if (!bare) judgeAny(API, method, reply);
    else {assert.ok(
        [400, 408, 413, 414, 417, 431, 505].includes(reply.status),
        String(reply.status),
      );}
  }
}

law("bytes that are hardly HTTP are answered or cut, and cost nobody else anything", {
  inputs: fc.array(attempt, { minLength: 1, maxLength: 12, size: "max" }),
  runs: 25,
  holds: (attempts) =>
    tried(async ({ port, besides }) => {
      const all = attempts.map(async (attempt) => {
        const { end, name } = attempt;
        const { bytes } = await exchange(port, piecesOf(attempt), {
          leave: end === "leave",
          close: end === "half-close",
          ms: LOOK_MS,
        });
        checkAnswers(bytes, name);
      });
      await Promise.all([...all, besides()]);
    }),
});

/** The first four made another path of any path, the others a fault of every route that parses. */
const ODD_HOSTS = [
  "a/b",
  "a?b",
  "a#b",
  "a\\\\b",
  "[::1",
  "a b",
  "a:99999",
  "a:b",
  "%00",
  "<a>",
  "xn--",
];

Deno.test("a Host that is none is refused on every path, and is no part of the path", () =>
  tried(async ({ port }) => {
    for (const host of ODD_HOSTS) {
      for (const path of ["/livez", "/sync/a/pull", `/v1/sync/${TRIED}/pull?clientId=wire`]) {
        const lines = [
          `GET ${path} HTTP/1.1`,
          `Host: ${host}`,
          `Authorization: Bearer ${tokenOf("client")}`,
          "Connection: close",
          "",
          "",
        ];
        const { bytes } = await exchange(port, [bytesOf(lines.join("\r\n"))]);
        const [reply] = readReplies(bytes, ["GET"]);
        assert.ok(reply);
        assert.equal(judgeAny(API, "GET", reply).code, "VALIDATION_ERROR", `${host} ${path}`);
      }
    }
  }));

Deno.test("requests in a row over one connection are answered in their order", () =>
  tried(async ({ port }) => {
    const requests = [1, 2, 3, 4].flatMap((mutationId) => {
      const request = {
        method: "POST",
        target: `/v1/sync/${TRIED}/push`,
        headers: [
          ["Authorization", `Bearer ${tokenOf("client")}`],
          ["X-Request-Id", `r${mutationId}`],
        ] as const,
        body: bytesOf(push(mutationId)),
      };
      return [request, {
        method: "GET",
        target: "/nothing",
        headers: [["X-Request-Id", `n${mutationId}`]] as const,
      }];
    });
    const bytes = concat(
      ...requests.map((request, i) =>
        requestBytes(request, i === requests.length - 1 ? "close" : "keep-alive")
      ),
    );
    const received = await exchange(port, [bytes]);
    assert.ok(received.closed);
    const replies = readReplies(received.bytes, requests.map(({ method }) => method));
    const said = replies.map(({ status, headers }) => [
      status,
      headers.find(([name]) => name === "x-request-id")?.[1],
    ]);
    assert.deepEqual(said, [1, 2, 3, 4].flatMap((n) => [[200, `r${n}`], [404, `n${n}`]]));
  }));
