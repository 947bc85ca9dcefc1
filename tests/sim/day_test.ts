import assert from "node:assert/strict";

// The memory is measured by a process of its own, in which nothing else runs.
Deno.test("G11: hours of writing leave memory, log and databases as they are", async () => {
  const program = new URL("./day.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--v8-flags=--expose-gc", program],
      ...["--hours", "4", "--devices", "5"],
    ],
  }).output();
  const told = new TextDecoder().decode(stdout);
  assert.ok(success, told + new TextDecoder().decode(stderr));
  assert.match(told, /^ok {3}tombstones are the keys that are deleted/m);
});
