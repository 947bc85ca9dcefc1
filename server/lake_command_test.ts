import assert from "node:assert/strict";
import { openLakeParts } from "./destinations/lake_open.ts";
import type { LakeSpec } from "./destinations/spec.ts";
import { maintainLakes } from "./lake_command.ts";
import { startServer } from "./server.ts";
import { StoreLockedError } from "./store/lock.ts";
import { openSqliteStores } from "./store/sqlite.ts";
import { insert, SCHEMA, SECRET, tokenFor } from "./testing_server.ts";

/** Runs with a data folder that a gateway has flushed some commits from, into a lake beside it. */
async function withLake(
  run: (data: string, lake: LakeSpec, whileServing: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const data = await Deno.makeTempDir({ prefix: "lakesync-maintain-" });
  const lake: LakeSpec = {
    type: "lake",
    store: { type: "fs", folder: `${data}/lake` },
    mergeEveryMs: 3_600_000,
  };
  const serve = async (
    work: (post: (path: string, body?: object) => Promise<void>) => Promise<void>,
  ) => {
    const server = await startServer({
      stores: await openSqliteStores(data),
      trust: { secrets: [SECRET] },
      port: 0,
      openAccess: true,
      gateways: { default: { schema: SCHEMA } },
      destinations: { big: lake },
    });
    const token = await tokenFor("root", "default", "admin");
    try {
      await work(async (path, body = {}) => {
        const response = await fetch(`${server.url}/v1/${path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: JSON.stringify(body),
        });
        assert.equal(response.status, 200, await response.text());
      });
    } finally {
      await server.close();
    }
  };
  try {
    await serve(async (post) => {
      for (let n = 1; n <= 3; n++) {
        await post("sync/default/push", insert("phone", n, `t${n}`));
        await post("admin/flush/default");
      }
    });
    await run(data, lake, () =>
      serve(async () => {
        const config = { command: "lake maintain", lakes: [["big", lake]], gw: "default", data };
        await assert.rejects(maintainLakes(config as never), StoreLockedError);
      }));
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

Deno.test("lake maintain merges what was flushed, and says what it did", () =>
  withLake(async (data, lake) => {
    const config = {
      command: "lake maintain",
      lakes: [["big", lake]],
      gw: "default",
      data,
    } as const;
    const first = await maintainLakes(config);
    assert.equal(first.isDone, true);
    // The gateway itself has merged the first rows at once.
    assert.match(first.lines[0] ?? "", /^big: [0-2] changes merged into rows$/);
    const parts = openLakeParts(lake, "default");
    const rows = await parts.catalog.load({ namespace: "default", name: "todos" });
    await parts.close();
    assert.equal(rows?.snapshot?.summary["total-records"], "3");
    assert.match(first.lines.join("\n"), /^big todos: /m);
    const again = await maintainLakes(config);
    assert.deepEqual(again.lines[0], "big: 0 changes merged into rows");
    // Elsewhere there is no data folder, and no gateway holds it.
    const away = await maintainLakes({ ...config, data: `${data}/none` });
    assert.deepEqual(away.lines[0], "big: 0 changes merged into rows");
    await assert.rejects(Deno.stat(`${data}/none`), Deno.errors.NotFound);
    const other = await maintainLakes({ ...config, gw: "other" });
    assert.match(
      other.lines.join(),
      /^big: not finished: There is no lake in file:.*: no tables under other,/,
    );
    assert.equal(other.isDone, false);
    const store = { type: "fs", folder: `${data}/mistyped/lake` } as const;
    const mistyped = await maintainLakes({ ...config, lakes: [["big", { ...lake, store }]] });
    assert.match(mistyped.lines.join(), /^big: not finished: There is no lake in file:.*mistyped/);
    assert.equal(mistyped.isDone, false);
    await assert.rejects(Deno.stat(`${data}/mistyped`), Deno.errors.NotFound);
  }));

Deno.test("lake maintain is refused while a gateway runs, which does it by itself", () =>
  withLake((_data, _lake, whileServing) => whileServing()));

Deno.test("lake maintain says what it could not do", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/file`, "");
    const { lines, isDone } = await maintainLakes({
      command: "lake maintain",
      lakes: [
        ["broken", { type: "lake", store: { type: "fs", folder: `${folder}/file/lake` } }],
        ["plain", { type: "lake", flushFormat: "json" }],
      ],
      gw: "default",
      data: `${folder}/none`,
    });
    assert.equal(isDone, false);
    assert.match(lines[0] ?? "", /^broken: not finished: .*lake is no folder/);
    assert.equal(lines[1], "plain: has no tables, so nothing to do");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
