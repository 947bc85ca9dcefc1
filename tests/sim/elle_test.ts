import assert from "node:assert/strict";
import { Engine } from "./checkers/testing_engine.ts";
import { elleHistory } from "./elle.ts";
import type { History, HistoryEvent } from "./history.ts";

/** Lines without what every line has. */
function brief(history: History): string[] {
  return elleHistory(history).trimEnd().split("\n").map((line, index) => {
    const parts = /^\{:index (\d+), (.+), :time (\d+), :f :txn, (:value \[.*\])\}$/.exec(line);
    assert.equal(Number(parts?.[1]), index);
    return `${parts?.[2]} ${parts?.[4]}`;
  });
}

function withElements(events: readonly HistoryEvent[], elements: number[][]): HistoryEvent[] {
  const values = [...elements];
  return events.map((event) =>
    event.kind === "read"
      ? { ...event, elements: [{ key: "a:l", elements: values.shift() ?? [] }] }
      : event
  );
}

Deno.test("elleHistory writes appends and reads as invocations and completions", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann", "bob"] });
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.read("b");
  const history = engine.finish();
  const events = withElements(history.events, [[1], [], [1]]);
  assert.equal(
    elleHistory({ ...history, events }),
    [
      '{:index 0, :type :invoke, :process 0, :time 3000000, :f :txn, :value [[:append "a:l" 1]]}',
      '{:index 1, :type :ok, :process 0, :time 3000000, :f :txn, :value [[:append "a:l" 1]]}',
      '{:index 2, :type :invoke, :process 1, :time 5000000, :f :txn, :value [[:r "a:l" nil]]}',
      '{:index 3, :type :ok, :process 1, :time 5000000, :f :txn, :value [[:r "a:l" [1]]]}',
      '{:index 4, :type :invoke, :process 1, :time 8000000, :f :txn, :value [[:r "a:l" nil]]}',
      '{:index 5, :type :ok, :process 1, :time 8000000, :f :txn, :value [[:r "a:l" [1]]]}',
      "",
    ].join("\n"),
  );
});

Deno.test("elleHistory reads what a transaction read as an operation before it", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann", "bob"] });
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.write("b", "l");
  const history = engine.finish();
  const events = history.events.filter(({ kind }) => kind !== "read").map((event) =>
    event.kind === "commit" && event.device === "b"
      ? { ...event, reads: [{ key: "a:l", elements: [1] }] }
      : event
  );
  assert.deepEqual(brief({ ...history, events }).slice(2), [
    ':type :invoke, :process 1 :value [[:r "a:l" nil]]',
    ':type :ok, :process 1 :value [[:r "a:l" [1]]]',
    ':type :invoke, :process 1 :value [[:append "b:l" 1]]',
    ':type :ok, :process 1 :value [[:append "b:l" 1]]',
  ]);
});

Deno.test("elleHistory tells refused, lost and unfinished transactions apart", () => {
  const engine = new Engine({ a: "ann" }, { l: ["ann"] });
  engine.write("a", "l", true);
  engine.push("a");
  engine.write("a", "l");
  engine.lose("a");
  engine.write("a", "l");
  const history = engine.finish();
  const unfinished = history.events.filter((event) =>
    event.kind !== "read" && !("tx" in event && event.tx === "a.3" && event.kind !== "begin")
  );
  const gateways = history.gateways.map((gateway) => ({ ...gateway, log: [] }));
  assert.deepEqual(brief({ ...history, events: unfinished, gateways }), [
    ':type :invoke, :process 0 :value [[:append "a:l" 1]]',
    ':type :fail, :process 0 :value [[:append "a:l" 1]]',
    ':type :invoke, :process 0 :value [[:append "a:l" 2]]',
    ':type :info, :process 0 :value [[:append "a:l" 2]]',
    ':type :invoke, :process 2 :value [[:append "a:l" 3]]',
    ':type :info, :process 2 :value [[:append "a:l" 3]]',
  ]);
});

Deno.test("elleHistory hides a device's own refused elements from itself and from nobody else", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann", "bob"] });
  engine.write("b", "l");
  engine.push("b");
  engine.pull("a");
  engine.write("a", "l", true);
  engine.read("a");
  engine.pull("b");
  engine.push("a");
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.read("b");
  const history = engine.finish();
  const events = withElements(history.events, [[1], [1, 2]]);
  const values = brief({ ...history, events }).filter((line) => /:ok.*"a:l" \[/.test(line));
  assert.deepEqual(values.slice(0, 3), [
    ':type :ok, :process 1 :value [[:r "b:l" []] [:r "a:l" []]]',
    ':type :ok, :process 1 :value [[:r "b:l" []] [:r "a:l" []]]',
    ':type :ok, :process 0 :value [[:r "b:l" []] [:r "a:l" [1 2]]]',
  ]);
});

Deno.test("elleHistory ends at the first restore and asks for no list that is not shown", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann"] });
  engine.write("a", "l");
  engine.push("a");
  engine.read("b");
  engine.restore(0);
  engine.write("a", "l");
  assert.equal(brief(engine.finish()).length, 2);
});
