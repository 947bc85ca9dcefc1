import assert from "node:assert/strict";
import fc from "fast-check";
import { scope } from "./scope.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

Deno.test("G7: scope finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(scope(history), [])));
});

Deno.test("G7: scope finds rows of a list that the user was never a member of", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann"] });
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.read("b");
  const history = engine.finish();
  const shows = (list: boolean, mark: boolean) =>
    texts(scope(broken(history, ({ events }) => {
      const read = events.find(({ kind }) => kind === "read");
      if (read?.kind !== "read") return;
      if (list) read.lists = ["l"];
      if (mark) read.twins = ["a.1"];
    })));
  assert.deepEqual(shows(true, false), [
    "Device b shows rows of list l, of which bob was never a member",
  ]);
  assert.deepEqual(shows(false, true), [
    "Device b shows transaction a.1 of list l, of which bob was no member since it was begun",
  ]);
});

Deno.test("G7: scope finds what was written after the user left, and nothing from before", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann", "bob"] });
  engine.write("a", "l");
  engine.push("a");
  engine.leave("bob", "l");
  engine.write("a", "l");
  engine.push("a");
  engine.read("b");
  const bad = broken(engine.finish(), ({ events }) => {
    const read = events.find(({ kind }) => kind === "read");
    if (read?.kind === "read") Object.assign(read, { marks: ["a.1", "a.2"], lists: ["l"] });
  });
  assert.deepEqual(texts(scope(bad)), [
    "Device b shows transaction a.2 of list l, of which bob was no member since it was begun",
  ]);
});

Deno.test("G7: scope lets a device see what it wrote where it may not, until it is refused", () => {
  const engine = new Engine({ b: "bob" }, { l: [] });
  engine.write("b", "l");
  engine.read("b");
  assert.deepEqual(scope(engine.finish()), []);
});

Deno.test("G7: scope finds whatever list is shown to one who never joined any", () => {
  fc.assert(fc.property(goodHistories, fc.nat(), (history, which) => {
    const reads = history.events.flatMap((event, at) => event.kind === "read" ? [at] : []);
    const bad = broken(history, ({ events }) => {
      const read = events[reads[which % reads.length] ?? 0];
      if (read?.kind === "read") read.lists.push("secret");
    });
    assert.equal(scope(bad).length, 1);
  }));
});
