import type { Delta, Hlc, Op } from "@lakesync/core";
import assert from "node:assert/strict";
import { Members } from "./members.ts";

function change(op: Op, hlc: number, table = "members"): Delta {
  const shape = { op, table, columns: [] };
  return { shape, rowId: "l:ann", values: [], hlc: BigInt(hlc) as Hlc, deltaId: undefined };
}

Deno.test("Members says who comes and goes by the stamps, not by the order of the log", () => {
  const members = new Members();
  const took = ([op, hlc, clientId = "a"]: [Op, number, string?]) =>
    members.take(change(op, hlc), clientId);
  assert.deepEqual(
    ([
      ["INSERT", 5],
      ["INSERT", 7],
      ["DELETE", 6],
      ["DELETE", 9],
      ["INSERT", 8],
      ["UPDATE", 20],
      ["INSERT", 9],
      ["INSERT", 9, "b"],
    ] as [Op, number, string?][]).map(took),
    [true, undefined, undefined, false, undefined, undefined, undefined, true],
  );
  assert.deepEqual([...members.names], ["l:ann"]);
  assert.equal(members.take(change("DELETE", 99, "lists"), "a"), undefined);
  members.take(change("DELETE", 99), "a");
  assert.deepEqual([...members.names], []);
});
