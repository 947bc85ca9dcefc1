import assert from "node:assert/strict";
import { runBackup, runRestore } from "../backup_command.ts";
import { runKeys } from "../keys_command.ts";
import { openSqliteStores } from "../store/sqlite.ts";
import { tempFolder } from "../store/testing_folders.ts";
import type { AuditEvent } from "./audit.ts";
import { COMMAND_USER } from "./command_audit.ts";
import { ServerAudit } from "./server_audit.ts";

/** What the audit log of a folder has, the oldest first. */
async function eventsOf(data: string): Promise<AuditEvent[]> {
  const stores = await openSqliteStores(data);
  const { entries } = await new ServerAudit(stores.records).list({ limit: 100 });
  await stores.close();
  return entries.map(({ id: _, atMs: __, ...event }) => event).toReversed();
}

Deno.test("keys, backup and restore are in the audit log, also beside a server", async () => {
  await using folder = await tempFolder();
  const [data, out, restored] = ["data", "out", "restored"].map((name) => `${folder.path}/${name}`);
  assert(data && out && restored);
  const stores = await openSqliteStores(data);
  await (await stores.open("notes", true))?.close();
  const audit = new ServerAudit(stores.records);
  await audit.write({ what: "server.start", outcome: "done" });
  const owner = { data, secret: undefined };
  const { lines: [kid = ""] } = await runKeys({ command: "keys rotate", owner, keepMs: 0 });
  await runKeys({ command: "keys list", owner });
  const { lines: [next = ""] } = await runKeys({ command: "keys retire", owner, kid });
  await runBackup({ command: "backup", data, out, gw: undefined, withSecrets: false }, "0.0.0");
  await audit.write({ what: "server.stop", outcome: "done" });
  await stores.close();

  const byCommand = { outcome: "done", sub: COMMAND_USER } as const;
  const before = [
    { what: "server.start", outcome: "done" },
    {
      ...byCommand,
      what: "keys.change",
      details: { act: "rotate", signs: kid, ended: [] },
    },
    {
      ...byCommand,
      what: "keys.change",
      details: { act: "retire", signs: next, ended: [kid] },
    },
  ];
  const backup = {
    ...byCommand,
    what: "backup.make",
    details: { gateways: 1, withSecrets: false },
  };
  const stop = { what: "server.stop", outcome: "done" };
  assert.deepEqual(await eventsOf(data), [...before, backup, stop]);

  await runRestore({
    command: "restore",
    from: out,
    data: restored,
    to: undefined,
    log: undefined,
  });
  const events = await eventsOf(restored);
  assert.deepEqual(events.slice(0, -1), before);
  const { what, gatewayId, details } = events.at(-1) ?? {};
  assert.deepEqual([what, gatewayId, details?.["seq"]], ["backup.restore", "notes", 0]);
});

Deno.test("keys of a folder that no SQLite store is in are changed without an audit log", async () => {
  await using folder = await tempFolder();
  const owner = { data: folder.path, secret: undefined };
  await runKeys({ command: "keys rotate", owner, keepMs: 0 });
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assert(!names.includes("server.db"), names.join());
});
