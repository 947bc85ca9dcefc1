import { decodeTailPage, gatewayTail } from "@lakesync/adapters/lake/tail";
import type { Value } from "@lakesync/core";
import assert from "node:assert/strict";
import { insert, type TestServer, withServer } from "../testing_server.ts";

const ALL_TYPES = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        big: "integer",
        real: "number",
        data: "bytes",
        meta: "json",
        votes: { type: "integer", merge: "counter" },
      },
    },
  },
} as const;

const tail = ({ url, admin: token }: TestServer) =>
  gatewayTail({ url, gatewayId: "default", token });

Deno.test("GET tail tells what was committed after a place, with its effects", () =>
  withServer(async (server) => {
    const { json, admin } = server;
    await json("/v1/admin/schema/default", { method: "PUT", token: admin, body: ALL_TYPES });
    const push = (mutationId: number, op: string, columns: Record<string, unknown>) =>
      json("/v1/sync/default/push", {
        token: admin,
        body: {
          clientId: "phone",
          schemaVersion: 1,
          transactions: [{ mutationId, deltas: [{ op, table: "todos", rowId: "t1", columns }] }],
        },
      });
    await push(1, "INSERT", {
      title: "Milk",
      big: "9223372036854775807",
      real: 0.1,
      data: "AP8=",
      meta: { $int: "1" },
      votes: 1,
    });
    await push(2, "UPDATE", { votes: { add: 2 } });
    const all = await tail(server).read({ seq: 0 });
    assert.deepEqual([all.headSeq, all.isTrimmed, all.schema.version], [2, false, 1]);
    assert.deepEqual(all.entries.map(({ seq, last }) => [seq, last]), [[1, true], [2, true]]);
    const [inserted] = all.entries[0]?.changes ?? [];
    const expected: Record<string, Value> = {
      title: "Milk",
      big: 9223372036854775807n,
      real: 0.1,
      data: new Uint8Array([0, 255]),
      meta: { $int: "1" },
      votes: 1,
    };
    assert.deepEqual(inserted?.columns, expected);
    const [{ columnIds = [], table, id = 0 } = {}] = all.schema.tables;
    const number = (name: string) =>
      columnIds[table?.columns.findIndex((column) => column.name === name) ?? -1];
    const cells = new Map(inserted?.effect?.cells.map(([column, value]) => [column, value]));
    assert.deepEqual(cells.get(number("big") ?? 0), 9223372036854775807n);
    const { entries, schema } = await tail(server).read({ seq: 1 });
    assert.equal(schema.tables[0]?.id, id);
    const [updated] = entries[0]?.changes ?? [];
    assert.deepEqual(updated?.columns, { votes: { add: 2 } });
    assert.deepEqual(
      updated?.effect?.cells.map(([column, value]) => [column, value]),
      [[number("votes"), 3]],
    );
    assert.deepEqual((await tail(server).read({ seq: 2 })).entries, []);
  }, false));

Deno.test("GET tail goes on where a page ended", () =>
  withServer(async (server) => {
    const seqs: number[] = [];
    const count = 12;
    for (let i = 1; i <= count; i++) {
      await server.json("/v1/sync/default/push", {
        token: server.admin,
        body: insert("phone", i, `t${i}`, "x".repeat(900_000)),
      });
    }
    let pages = 0;
    for (let after = 0;; pages++) {
      const { entries } = await tail(server).read({ seq: after });
      if (entries.length === 0) break;
      seqs.push(...entries.map(({ seq }) => seq));
      after = entries.at(-1)?.seq ?? 0;
    }
    assert.deepEqual(seqs, Array.from({ length: count }, (_, i) => i + 1));
    assert.ok(pages > 1, `${pages} pages`);
  }));

Deno.test("GET tail is for admins, of gateways that are there, after a place", () =>
  withServer(async ({ json, alice, admin }) => {
    const ask = async (path: string, token: string) =>
      (await json(`/v1/admin/tail/${path}`, { token })).status;
    assert.equal(await ask("default?after=0", alice), 403);
    assert.equal(await ask("nowhere?after=0", admin), 404);
    assert.equal(await ask("default?after=-1", admin), 400);
    assert.equal(await ask("default?after=1&slice=x", admin), 400);
    const { body } = await json("/v1/admin/tail/default", { token: admin });
    assert.deepEqual(decodeTailPage(body).entries, []);
  }));
