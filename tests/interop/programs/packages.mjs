// Every package can be imported, and finds its siblings as npm installed them.
import assert from "node:assert/strict";
import * as client from "@lakesync/client";
import * as core from "@lakesync/core";
import * as adapters from "@lakesync/adapters";

assert.equal(typeof core.merge, "function");
assert.ok(client);
assert.ok(adapters);
