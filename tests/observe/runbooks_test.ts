import assert from "node:assert/strict";
import { run } from "../gate/process.ts";
import { startGateway } from "../gate/gateway.ts";

const RUNBOOKS = new URL("../../docs/operations/runbooks.md", import.meta.url);
const MAIN = new URL("../../server/main.ts", import.meta.url).pathname;

/** Lines as a server logs them. */
const LOG =
  `2026-01-31 09:30:00.000 +00:00 [WRN] lakesync·requests: POST /v1/sync/{gatewayId}/push \
200 in 1500 ms, request r, gateway default, client phone-1: slow
2026-01-31 09:30:00.000 +00:00 [INF] lakesync·requests: 1 transactions of client phone-1 to gateway \
default were refused: FORBIDDEN_WRITE
`;

/** What a machine has beside the server; all else is real. */
function machine(url: string): string {
  return `
set -eu
export USER=operator
lakesync() {
  case "$1 \${2:-}" in
    access*|cursors*|audit*|"rules explain") set -- "$@" --url ${url} ;;
  esac
  deno run -A ${MAIN} "$@"
}
curl() { command curl --fail-with-body --show-error "$@"; }
journalctl() { cat log; }
timedatectl() { echo NTPSynchronized=yes; }
export TOKEN=$(lakesync token --sub "$USER" --gw '*' --role admin)
`;
}

async function blocks(): Promise<readonly { readonly title: string; readonly code: string }[]> {
  const text = await Deno.readTextFile(RUNBOOKS);
  return text.split(/^## /m).flatMap((part) => {
    const title = part.slice(0, part.indexOf("\n"));
    return [...part.matchAll(/^\`\`\`sh\n([^]*?)^\`\`\`$/gm)]
      .map(([, code = ""]) => ({ title, code }));
  });
}

Deno.test("every command of the runbooks does what it is for, on a server that runs", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-runbooks-" });
  {
    await using gateway = await startGateway(folder);
    const url = `http://127.0.0.1:${gateway.port}`;
    await Deno.writeTextFile(`${folder}/log`, LOG);
    const send = async (method: string, path: string, body: unknown) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${gateway.token}`,
          "Content-Type": "application/json",
        },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, await response.text());
    };
    const columns = { id: "string", title: "string" };
    const schema = { version: 1, tables: { todos: { primaryKey: ["id"], columns } } };
    await send("PUT", "/v1/admin/schema/default", schema);
    const delta = { op: "INSERT", table: "todos", rowId: "t1", columns: { title: "a" } };
    const transactions = [{ mutationId: 1, deltas: [delta] }];
    await send("POST", "/v1/sync/default/push", {
      clientId: "phone-2",
      schemaVersion: 1,
      transactions,
    });

    const bash = async (code: string) => {
      const script = `${machine(url)}\n${code.replaceAll("http://127.0.0.1:8787", url)}`;
      return await run(["bash", "-c", script], { cwd: folder });
    };
    const made = await bash("lakesync backup --out backup");
    assert.ok(made.success, made.output);
    const all = await blocks();
    assert.ok(all.length >= 15, `${all.length} blocks`);
    const outputs = new Map<string, string>();
    for (const { title, code } of all) {
      const { success, output } = await bash(code);
      assert.ok(
        success && !/curl: \(|command not found|usage/i.test(output),
        `${title}: ${output}`,
      );
      outputs.set(title, (outputs.get(title) ?? "") + output);
    }
    assert.match(outputs.get("Not ready") ?? "", /"status":"ready"/);
    assert.match(outputs.get("Key leak") ?? "", /secret +HS256 +ended/);
    assert.match(outputs.get("Key leak") ?? "", /denied +client "phone-1"/);
    assert.match(outputs.get("Restore") ?? "", /default: commit 1, epoch/);
    assert.match(outputs.get("Rejected writes") ?? "", /READ todos: allowed/);
    assert.match(outputs.get("Clock trouble") ?? "", /^date: /im);
    assert.match(outputs.get("Memory pressure") ?? "", /^lakesync_memory_max_bytes \d/m);
  }
  await Deno.remove(folder, { recursive: true });
});
