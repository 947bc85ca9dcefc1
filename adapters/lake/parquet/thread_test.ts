import assert from "node:assert/strict";

const PROGRAM = `
import { columnBuilder } from "${new URL("../columns/mod.ts", import.meta.url)}";
import { openParquetReader, openParquetWriter } from "${new URL("mod.ts", import.meta.url)}";
const builder = columnBuilder("string");
builder.append("text");
const fields = [{ id: 1, name: "name", type: "string", required: true }] as const;
const batch = { fields, length: 1, columns: [builder.finish()] };
const writer = openParquetWriter();
const { bytes } = await writer.write(batch, { metadata: new Map() });
const reader = openParquetReader();
console.log((await reader.read(bytes, fields)).length);
if (CLOSES) await Promise.all([writer.close(), reader.close()]);
`;

async function run(closes: boolean, ...permissions: readonly string[]): Promise<string> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", ...permissions, "-"],
    cwd: new URL(".", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = process.stdin.getWriter();
  await input.write(new TextEncoder().encode(PROGRAM.replace("CLOSES", String(closes))));
  await input.close();
  const { success, stdout } = await process.output();
  assert.ok(success);
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("Parquet is written and read in line where no thread may start", async () => {
  assert.equal(await run(true), "1");
});

Deno.test("a Parquet thread that waits for orders does not keep a process alive", async () => {
  assert.equal(await run(false, "--allow-read"), "1");
});
