import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import { logText } from "./log.ts";

Deno.test("logText writes what a destination failed with as one line, others whole", () => {
  const cause = new Error("connect ECONNREFUSED");
  const failure = new DestinationError("later", "The database cannot be reached", { cause });
  assert.equal(logText(failure, Deno.inspect), "The database cannot be reached");
  assert.equal(logText("stopping", Deno.inspect), "stopping");
  assert.match(logText(cause, Deno.inspect), /Error: connect ECONNREFUSED\n +at /);
});
