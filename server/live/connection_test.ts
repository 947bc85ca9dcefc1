import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { CLOSE } from "./close.ts";
import { Connection } from "./connection.ts";

/** A socket whose peer sends what a test says, and never answers a close. */
class HeldSocket {
  readonly bufferedAmount = 0;
  readonly readyState: number = WebSocket.OPEN;
  binaryType = "blob";
  onmessage: (event: { readonly data: string }) => void = () => {};
  onclose: () => void = () => {};
  onerror: () => void = () => {};
  /** How many messages had come when it was closed. */
  closedAt: number | undefined;
  #messages = 0;

  arrive(): void {
    this.#messages++;
    this.onmessage({ data: "{}" });
  }

  close(): void {
    this.closedAt = this.#messages;
  }
}

/** A connection by a clock that a test holds. */
function open(): { socket: HeldSocket; connection: Connection; clock: { ms: number } } {
  const socket = new HeldSocket();
  const clock = { ms: 0 };
  const connection = new Connection({
    socket: socket as unknown as WebSocket,
    user: "alice",
    maxBufferedBytes: 1_000,
    reset: () => {},
    freed: () => {},
    gone: () => {},
    overflow: () => {},
    receive: () => {},
    owesAck: () => false,
    now: () => clock.ms,
  });
  return { socket, connection, clock };
}

/** A few turns of the event loop. */
async function turn(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise<void>((done) => void setImmediate(done));
}

/** Runs a test with timers that it lets pass itself, in the order in which they were set. */
async function withTimers(test: (pass: () => void) => Promise<void>): Promise<void> {
  const { setTimeout } = globalThis;
  const callbacks: (() => void)[] = [];
  globalThis.setTimeout = ((callback: () => void) => callbacks.push(callback)) as never;
  try {
    await test(() => callbacks.shift()?.());
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

Deno.test("a connection whose peer never pauses is closed right after a message of its", () =>
  withTimers(async (pass) => {
    const { socket, connection, clock } = open();
    connection.end(CLOSE.draining, "bye");
    for (let look = 1; look <= 3; look++) {
      socket.arrive();
      pass();
      await turn();
      assert.equal(socket.closedAt, undefined, `look ${look}`);
      if (look === 2) clock.ms = 2_000;
    }
    socket.arrive();
    assert.equal(socket.closedAt, undefined, "what is behind the message is read first");
    await turn();
    assert.equal(socket.closedAt, 4);
    socket.onclose();
    assert.equal(await connection.closed, true);
  }));

Deno.test("a connection whose peer falls silent at last is closed all the same", () =>
  withTimers(async (pass) => {
    const { socket, connection, clock } = open();
    connection.end(CLOSE.draining, "bye");
    socket.arrive();
    clock.ms = 2_000;
    pass();
    assert.equal(socket.closedAt, undefined);
    pass();
    assert.equal(socket.closedAt, 1);
    socket.onclose();
    await connection.closed;
  }));
