import assert from "node:assert/strict";
import type { Place } from "../adapter.ts";
import { ReadAhead } from "./read_ahead.ts";
import type { SourceHead, SourcePage } from "./source.ts";

const LIMIT = { changes: 10, bytes: 100 };

class TestSource {
  readonly calls: string[] = [];
  fails = false;
  seq = 7;

  head(): Promise<SourceHead> {
    this.calls.push("head");
    return Promise.resolve({ seq: this.seq, lives: [] });
  }

  read({ seq }: Place): Promise<SourcePage> {
    this.calls.push(`read ${seq}`);
    if (this.fails) return Promise.reject(new Error("The log cannot be read"));
    return Promise.resolve({ entries: [], trimmed: false, throughSeq: seq });
  }
}

Deno.test("ReadAhead gives what comes after the place once, with the head of before", async () => {
  const source = new TestSource();
  const ahead = new ReadAhead(source);
  assert.equal(await ahead.take({ seq: 3 }), undefined);
  ahead.begin({ seq: 3 }, LIMIT);
  await Promise.resolve();
  source.seq = 9;
  const reading = await ahead.take({ seq: 3 });
  assert.deepEqual(source.calls, ["head", "read 3"]);
  assert.equal(reading?.before.seq, 7);
  assert.equal(reading?.page.throughSeq, 3);
  assert.equal(await ahead.take({ seq: 3 }), undefined);
});

Deno.test("ReadAhead gives nothing for another place, a slice of the same commit neither", async () => {
  const ahead = new ReadAhead(new TestSource());
  for (const other of [{ seq: 4 }, { seq: 3, slice: 0 }, undefined]) {
    ahead.begin({ seq: 3 }, LIMIT);
    assert.equal(await ahead.take(other), undefined);
    assert.equal(await ahead.take({ seq: 3 }), undefined);
  }
});

Deno.test("ReadAhead fails whoever takes a reading that failed, and nobody else", async () => {
  const source = new TestSource();
  const ahead = new ReadAhead(source);
  source.fails = true;
  ahead.begin({ seq: 3 }, LIMIT);
  assert.equal(await ahead.take(undefined), undefined);
  ahead.begin({ seq: 3 }, LIMIT);
  await assert.rejects(ahead.take({ seq: 3 }), /cannot be read/);
});
