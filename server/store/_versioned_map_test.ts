import assert from "node:assert/strict";
import fc from "fast-check";
import { VersionedMap } from "./_versioned_map.ts";

const KEYS = ["a", "b", "c"];

Deno.test("VersionedMap shows each snapshot what was there when it was taken", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), key: fc.constantFrom(...KEYS) }),
    fc.record({ kind: fc.constant("delete" as const), key: fc.constantFrom(...KEYS) }),
    fc.record({ kind: fc.constantFrom("open" as const, "end" as const) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const map = new VersionedMap<string, number>();
    const model = new Map<string, number>();
    const open: [symbol, ReadonlyMap<string, number>][] = [];
    for (const [index, step] of steps.entries()) {
      if (step.kind === "set") {
        map.set(step.key, index);
        model.set(step.key, index);
      } else if (step.kind === "delete") {
        map.delete(step.key);
        model.delete(step.key);
      } else if (step.kind === "open") {
        const at = Symbol();
        map.open(at);
        open.push([at, new Map(model)]);
      } else {
        const [ended] = open.splice(index % (open.length + 1), 1);
        if (ended) map.end(ended[0]);
      }
      assert.equal(map.size, model.size);
      for (const key of KEYS) {
        assert.equal(map.get(key), model.get(key));
        for (const [at, before] of open) assert.equal(map.get(key, at), before.get(key));
      }
    }
  }));
});

Deno.test("VersionedMap.isShown tells values that a snapshot shows from newer ones", () => {
  const map = new VersionedMap<string, number>();
  const at = Symbol();
  map.set("a", 1);
  assert.equal(map.isShown("a"), false);
  map.open(at);
  assert.equal(map.isShown("a"), true);
  map.set("a", 2);
  assert.equal(map.isShown("a"), false);
  map.open(Symbol());
  assert.equal(map.isShown("a"), true);
});
