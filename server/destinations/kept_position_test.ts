import { LakeSyncError } from "@lakesync/core";
import type { FlushPosition } from "@lakesync/adapters";
import assert from "node:assert/strict";
import { KeptPosition, positionText } from "./kept_position.ts";

function at(seq: number, more: Partial<FlushPosition> = {}): FlushPosition {
  return { seq, lives: [{ id: "first", fromSeq: 0 }], writer: "w", ...more };
}

/** Cursors whose saving a test lets go on. */
class HeldCursors {
  readonly saved: string[] = [];
  fails: unknown;
  #held = Promise.withResolvers<void>();

  release(): void {
    this.#held.resolve();
    this.#held = Promise.withResolvers();
  }

  readonly saveCursor = async (name: string, value: string): Promise<void> => {
    await this.#held.promise;
    if (this.fails !== undefined) throw this.fails;
    this.saved.push(`${name} ${JSON.parse(value).seq}`);
  };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

Deno.test("while a position is being kept, of those that come only the newest waits", async () => {
  const cursors = new HeldCursors();
  const kept = new KeptPosition({ cursors, name: "destination:db" });
  for (const seq of [1, 2, 3, 4]) kept.keep(at(seq));
  cursors.release();
  await settled();
  cursors.release();
  await kept.done();
  kept.keep(at(4, { writer: "another" }));
  await kept.done();
  assert.deepEqual(cursors.saved, ["destination:db 1", "destination:db 4"]);
});

Deno.test("a position that could not be kept is told of, and kept when it comes again", async () => {
  const cursors = new HeldCursors();
  const errors: string[] = [];
  const kept = new KeptPosition({
    cursors,
    name: "destination:db",
    onError: (what) => void errors.push(what),
  });
  cursors.fails = new Error("The disk is full");
  kept.keep(at(1));
  cursors.release();
  await kept.done();
  cursors.fails = undefined;
  kept.keep(at(1));
  cursors.release();
  await kept.done();
  assert.deepEqual(errors, ["The position of destination:db could not be kept"]);
  assert.deepEqual(cursors.saved, ["destination:db 1"]);
  cursors.fails = new LakeSyncError("DRAINING", "The gateway is closing, try again");
  kept.keep(at(2));
  cursors.release();
  await kept.done();
  assert.equal(errors.length, 1, "a gateway that closes is no failure");
});

Deno.test("the text of a position names its life and whether rows are filled in", () => {
  const lives = [{ id: "first", fromSeq: 0 }, { id: "second", fromSeq: 4 }];
  assert.equal(positionText(at(9, { lives })), '{"seq":"9","life":"second"}');
  assert.equal(
    positionText(at(9, { slice: 2, filled: "" })),
    '{"seq":"9","slice":2,"life":"first","filling":true}',
  );
});
