/**
 * A gateway with rules and small chunks, and a client that reads checkpoints as
 * docs/adr/0009-checkpoints.md describes them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { memoryObjects, type ObjectStore } from "@lakesync/adapters";
import { decodePullResult, type RowChange, type Value } from "@lakesync/core";
import type { StoreFactory } from "../store/store.ts";
import type { CheckpointHeader } from "./checkpoint_frames.ts";
import { type CheckpointSettings, checkpointSettings } from "./checkpoint_settings.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Caller, Gateway } from "./gateway.ts";
import {
  at,
  delta,
  type Fixture,
  openFixture,
  Puller,
  push,
  START_MS,
  tx,
} from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: { sub: "root" } };

/** The schema of these tests. */
export const NOTES = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", list_id: "string", owner: "string", n: "integer" },
    },
    members: {
      primaryKey: ["id"],
      columns: { id: "string", list_id: "string", user_id: "string" },
    },
  },
} as const;

/** Notes by list for its members; one's own notes with their titles alone. */
export const RULES = {
  buckets: [
    {
      name: "by_list",
      parameters: {
        list: {
          from: "members",
          column: "list_id",
          filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [{ table: "notes", key: "list_id", columns: ["title", "list_id", "n"] }],
    },
    {
      name: "mine",
      tables: [{ table: "notes", columns: ["title", "owner"] }],
      filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
    },
  ],
  write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
} as const;

/** A user. */
export function user(sub: string): Caller {
  return { sub, admin: false, claims: { sub } };
}

/** A frame of a stream. */
export type Frame =
  | { readonly kind: "header"; readonly header: CheckpointHeader }
  | { readonly kind: "chunk"; readonly place: number; readonly changes: readonly RowChange[] }
  | { readonly kind: "end"; readonly cursor: string | undefined };

/** Reads one frame. */
export async function readFrame(bytes: Uint8Array<ArrayBuffer>): Promise<Frame> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  assert.equal(view.getUint32(0), bytes.length - 5);
  const kind = view.getUint8(4);
  const json = () => JSON.parse(new TextDecoder().decode(bytes.subarray(5)));
  if (kind === 1) return { kind: "header", header: json() };
  if (kind === 3) return { kind: "end", cursor: json().cursor };
  assert.equal(kind, 2);
  const gzip = new Blob([bytes.subarray(9)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const page = decodePullResult(new Uint8Array(await new Response(gzip).arrayBuffer()));
  assert.equal(page.complete, false);
  return { kind: "chunk", place: view.getUint32(5), changes: page.changes };
}

/** A client that begins by a checkpoint. */
export class Bootstrapper extends Puller {
  /** The etag of the stream under way. */
  etag: string | undefined;
  /** Chunks of it that were stored. */
  chunks = 0;
  /** The header of the last stream. */
  header: CheckpointHeader | undefined;
  /** The places of the chunks, in order. */
  readonly places: number[] = [];
  /** Called before each frame is read. */
  onFrame: (number: number) => Promise<void> = () => Promise.resolve();

  /**
   * Reads the stream, from where it was broken off if it was.
   *
   * @param most breaks it off after so many chunks
   * @returns whether it came to its end
   */
  async bootstrap(most: number = Infinity): Promise<boolean> {
    const { clientId, schemaVersion, etag, chunks } = this;
    const resume = etag === undefined ? {} : { etag, fromChunk: chunks };
    const stream = await this.gateway.checkpoint(this.caller, {
      clientId,
      schemaVersion,
      ...resume,
    });
    if (!stream.resumed) {
      this.rows.clear();
      this.chunks = 0;
      this.places.splice(0);
    }
    let left = most;
    let number = 0;
    for await (const bytes of stream.frames) {
      await this.onFrame(number++);
      const frame = await readFrame(new Uint8Array(bytes));
      if (frame.kind === "header") {
        assert.equal(frame.header.etag, stream.etag);
        this.header = frame.header;
        this.etag = stream.etag;
      } else if (frame.kind === "chunk") {
        for (const change of frame.changes) this.#apply(change);
        this.chunks++;
        this.places.push(frame.place);
        if (--left <= 0) return false;
      } else {
        this.cursor = frame.cursor;
        this.etag = undefined;
        return true;
      }
    }
    throw new Error("The stream has no end");
  }

  #apply({ shape, rowId, values }: RowChange): void {
    assert.equal(shape.op, "PUT");
    assert.equal(shape.buckets, undefined);
    const key = `${shape.table}/${rowId}`;
    this.named.add(key);
    const row = { ...this.rows.get(key) };
    shape.columns.forEach((column, i) => row[column] = values[i] ?? null);
    this.rows.set(key, row);
  }
}

/** What is written as one delta. */
export type Write = readonly [
  op: "INSERT" | "UPDATE" | "DELETE",
  table: string,
  rowId: string,
  columns?: Record<string, Value>,
];

/** A gateway with rules, and one client that writes to it as admin. */
export class CheckpointWorld implements AsyncDisposable {
  /** The schema version that it writes by. */
  version = 1;

  private constructor(readonly fixture: Fixture, readonly objects: ObjectStore) {}

  /** Opens it. */
  static async open(
    settings: Partial<CheckpointSettings> = {},
    factory?: StoreFactory,
    objects: ObjectStore = memoryObjects(),
    env: Partial<GatewayEnvironment> = {},
  ): Promise<CheckpointWorld> {
    const checkpoints = checkpointSettings(objects, { minRows: 4, chunkRows: 3, ...settings });
    const fixture = await openFixture(factory, { openAccess: false, checkpoints, ...env });
    const gateway = await fixture.gateways.create("Notes");
    if (gateway.schema === undefined) {
      await gateway.putSchema(NOTES);
      await gateway.putRules(RULES, 5_000);
    }
    return new CheckpointWorld({ ...fixture, gateway }, objects);
  }

  /** The gateway. */
  get gateway(): Gateway {
    return this.fixture.gateway;
  }

  /** Writes as one transaction. */
  async write(...writes: readonly Write[]): Promise<void> {
    const clientId = `writer-${this.fixture.clock.ms}`;
    this.fixture.clock.ms += 1_000;
    const ms = this.fixture.clock.ms - START_MS;
    const deltas = writes.map(([op, table, rowId, columns = {}], i) =>
      delta(op, rowId, at(ms, i), columns, table)
    );
    const version = { schemaVersion: this.version };
    const transactions = [tx(1, ...deltas)];
    const { rejected, stopped } = await push(this.gateway, clientId, transactions, version, ADMIN);
    assert.deepEqual([rejected, stopped], [[], undefined]);
  }

  /** Notes of a list, `<list>-<number>`. */
  async fill(list: string, count: number, owner = "nobody"): Promise<void> {
    for (let from = 0; from < count; from += 100) {
      const some = Array.from({ length: Math.min(100, count - from) }, (_, i): Write => {
        const columns = { title: `${list} ${from + i}`, list_id: list, owner, n: from + i };
        return ["INSERT", "notes", `${list}-${from + i}`, columns];
      });
      await this.write(...some);
    }
  }

  /** Makes a user a member of a list. */
  async join(sub: string, list: string): Promise<void> {
    const columns = { list_id: list, user_id: sub };
    await this.write(["INSERT", "members", `${sub}/${list}`, columns]);
  }

  /** A client. */
  client(sub: string, limit: number = 1_000, version: number = 1): Bootstrapper {
    return new Bootstrapper(this.gateway, `${sub}-${limit}`, limit, version, user(sub));
  }

  /** What a client has that pulls by pages alone. */
  async expected(sub: string, version: number = 1): Promise<ReturnType<Puller["table"]>> {
    const puller = new Puller(this.gateway, `expected-${sub}`, 1_000, version, user(sub));
    await puller.pull();
    return puller.table();
  }

  /** The keys of all objects. */
  async keys(): Promise<readonly string[]> {
    const heads = await Array.fromAsync(this.objects.listObjects(""));
    return heads.map(({ key }) => key).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture[Symbol.asyncDispose]();
  }
}
