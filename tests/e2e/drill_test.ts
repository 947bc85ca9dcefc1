import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

Deno.test("G13: the drill loses a gateway's disk, and restores it twice", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "drill", "--devices", "3", "--writes", "30"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(code, 0, `${out}\n${errors}`);
  assert.match(out ?? "", /restore to the time before the deletion/);
  assert.match(out ?? "", /held the same rows after each restore/);
});
