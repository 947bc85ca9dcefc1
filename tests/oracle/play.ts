/**
 * Runs a world on a gateway and beside it on the reference, and compares after each step.
 *
 * @module
 */

import { hash } from "node:crypto";
import {
  canonicalJson,
  type Delta,
  encodePushResult,
  LakeSyncError,
  makeHlc,
  type PullRequest,
  type PullResult,
  type PushResult,
  type Transaction,
  type Value,
} from "@lakesync/core";
import {
  type Caller,
  type Gateway,
  type Gateways,
  openGateways,
} from "../../server/gateway/mod.ts";
import type { CommitListener, ScopedPull } from "../../server/gateway/gateway.ts";
import type { StoreFactory } from "../../server/store/store.ts";
import type { Mirror } from "./mirror.ts";
import { ModelClient } from "./model_client.ts";
import {
  columnsIn,
  type DeltaPlan,
  type Event,
  nameIn,
  type Plan,
  type PushPlan,
  rulesIn,
  schemaIn,
  tablesIn,
} from "./plan.ts";
import { Random } from "./random.ts";
import {
  Reference,
  type Refusal,
  type ShownTables,
  type Who,
  WORLD_START_MS,
} from "./reference.ts";
import { addTokens, tokensIn, tokensOnWire } from "./wire.ts";

/** Gateway and reference differ. */
export class Difference extends Error {
  override readonly name = "Difference";
}

/** Where the data of a world is kept. */
export interface Stores {
  /** Opens them, also again after they were closed. */
  open(): StoreFactory | Promise<StoreFactory>;
}

/** More pages than a checkpoint of a small world can have. */
const MAX_PAGES = 500;

/** A database, and what its user has had in scope since it was first used. */
interface Device {
  readonly client: ModelClient;
  readonly seen: Set<string>;
  known: boolean;
  /** The buckets whose changes concern it, as its last checkpoint said. */
  watched: ReadonlySet<string>;
  /** Whether anything happened since that may bring it something. */
  concerned: boolean;
}

type Commit = Parameters<CommitListener>[0];

type EventOf<T> = Extract<Event, { readonly kind: T }>;

class Player {
  readonly #plan: Plan;
  readonly #stores: Stores;
  readonly #reference: Reference;
  readonly #devices: readonly Device[];
  readonly #ids: Random;
  #gateways: Gateways | undefined;
  #gateway: Gateway | undefined;
  #nowMs = WORLD_START_MS;
  #observed = -1;

  constructor(plan: Plan, stores: Stores, mirror: Mirror) {
    this.#plan = plan;
    this.#stores = stores;
    this.#reference = new Reference(plan, mirror);
    this.#ids = new Random(plan.seed);
    this.#devices = plan.clients.map((own) => ({
      client: new ModelClient(plan, own),
      seen: new Set(),
      known: false,
      watched: new Set(),
      concerned: true,
    }));
  }

  async #open(): Promise<Gateways> {
    return openGateways(await this.#stores.open(), {
      now: () => this.#nowMs,
      nextTurn: () => later(8),
      setTimer: () => () => {},
      randomId: () => this.#ids.token().slice(1),
      hash: (text) => String(hash("sha256", text)),
      openAccess: true,
      onError: (what, error) => {
        this.#failure ??= new Difference(`${what}: ${String(error)}`);
      },
    });
  }

  #failure: Difference | undefined;

  async #opened(): Promise<Gateway> {
    if (this.#gateway === undefined) {
      if (this.#gateways === undefined) this.#gateways = await this.#open();
      this.#gateway = await this.#gateways.create("default");
      this.#gateway.onCommit((commit) => this.#committed(commit));
    }
    return this.#gateway;
  }

  #committed({ buckets, clientIds, everything }: Commit): void {
    for (const device of this.#devices) {
      device.concerned ||= everything === true || clientIds.has(device.client.own.clientId) ||
        !device.watched.isDisjointFrom(buckets);
    }
  }

  /** Runs all steps; gives the step at which a difference was found. */
  async run(): Promise<{ readonly step: number; readonly error: unknown } | undefined> {
    let step = -1;
    try {
      await this.#schema(1);
      for (const [i, event] of this.#plan.steps.entries()) {
        step = i;
        this.#nowMs = Math.max(this.#nowMs, WORLD_START_MS + event.atMs);
        await this.#step(event);
        if (this.#failure !== undefined) throw this.#failure;
      }
    } catch (error) {
      return { step, error };
    } finally {
      await this.#gateways?.close();
    }
    return undefined;
  }

  async #step(event: Event): Promise<void> {
    switch (event.kind) {
      case "push":
        return await this.#push(event.pushes);
      case "pull":
        return await this.#pull(event);
      case "rules":
        return await this.#rules(event);
      case "schema":
        return await this.#schema(event.version);
      case "claims":
        this.#device(event.client).client.claims = event.claims;
        this.#device(event.client).concerned = true;
        return this.#observe(true);
      case "upgrade":
        this.#device(event.client).client.version = this.#reference.version;
        this.#device(event.client).concerned = true;
        return;
      case "forget":
        return this.#device(event.client).client.forget();
      case "explain":
        return await this.#explain(event);
      case "restart":
        await this.#gateways?.close();
        this.#gateways = undefined;
        this.#gateway = undefined;
        return;
    }
  }

  #device(index: number): Device {
    const device = this.#devices[index];
    if (device === undefined) throw new Error(`no client ${index}`);
    if (device.client.version === 0) device.client.version = this.#reference.version;
    return device;
  }

  #who({ client }: Device): Who {
    const { clientId, sub, admin } = client.own;
    return { clientId, sub, admin, claims: { ...client.claims, sub } };
  }

  #caller(device: Device): Caller {
    const { sub, admin, claims } = this.#who(device);
    return { sub, admin, claims };
  }

  /** Everyone that is known has seen what is in scope now. */
  #observe(always = false): void {
    if (!always && this.#observed === this.#reference.seq) return;
    this.#observed = this.#reference.seq;
    for (const device of this.#devices) if (device.known) this.#see(device);
  }

  #see(device: Device): void {
    addTokens(device.seen, this.#reference.scope(this.#who(device)));
  }

  #met(device: Device): void {
    if (device.known) return;
    device.known = true;
    this.#see(device);
  }

  async #schema(version: number): Promise<void> {
    if (version <= this.#reference.version) return;
    const gateway = await this.#opened();
    await gateway.putSchema(schemaIn(this.#plan, version));
    this.#reference.putSchema(version);
    this.#observe();
  }

  async #rules({ rules, pushes, delay }: EventOf<"rules">): Promise<void> {
    const gateway = await this.#opened();
    const order: string[] = [];
    const stop = gateway.onCommit((commit: Commit) => {
      if (commit.everything) order.push("rules");
      else if (commit.clientIds.size > 0) order.push("push");
    });
    const spec = rulesIn(this.#plan, rules, this.#reference.version);
    const put = gateway.putRules(spec, 10_000).catch((error) => {
      if (error instanceof LakeSyncError && error.code === "VALIDATION_ERROR") return error;
      throw error;
    });
    const sent = later(delay).then(() => this.#send(gateway, pushes).answers);
    const answered = await Promise.all([put, sent]).finally(stop);
    const usesRules = () => {
      const refused = answered[0] instanceof LakeSyncError ? answered[0].message : undefined;
      const wrong = this.#refusalOf(() => this.#reference.putRules(rules));
      if (refused !== wrong) {
        throw new Difference(`rules are refused with ${refused}, expected was ${wrong}`);
      }
    };
    if (order.indexOf("push") === 0) {
      this.#judge(pushes, answered[1]);
      usesRules();
    } else {
      usesRules();
      this.#observe();
      this.#judge(pushes, answered[1]);
    }
    this.#observe();
  }

  #refusalOf(work: () => void): string | undefined {
    try {
      work();
    } catch (error) {
      if (error instanceof LakeSyncError) return error.message;
      throw error;
    }
    return undefined;
  }

  async #push(pushes: readonly PushPlan[]): Promise<void> {
    const gateway = await this.#opened();
    this.#judge(pushes, await this.#send(gateway, pushes).answers);
    for (const push of pushes.filter(({ again }) => again)) await this.#pushAgain(gateway, push);
  }

  /** A second time has the same outcome and no effect. */
  async #pushAgain(gateway: Gateway, push: PushPlan): Promise<void> {
    const device = this.#device(push.client);
    device.client.mutationId -= push.transactions.length;
    const [answer] = await this.#send(gateway, [push]).answers;
    device.client.mutationId += push.transactions.length;
    if (answer?.lastMutationId !== device.client.mutationId) {
      throw new Difference(`repeated push: lastMutationId ${answer?.lastMutationId}`);
    }
  }

  #send(gateway: Gateway, pushes: readonly PushPlan[]) {
    const all = pushes.map(async (push): Promise<PushResult> => {
      const device = this.#device(push.client);
      this.#met(device);
      const { client } = device;
      const transactions = push.transactions.map((deltas, i): Transaction => ({
        mutationId: client.mutationId + 1 + i,
        deltas: this.#known(device, deltas).map((delta) => this.#delta(delta, client.version)),
      }));
      const request = {
        clientId: client.own.clientId,
        schemaVersion: client.version,
        transactions,
      };
      const { result } = await gateway.push(this.#caller(device), request);
      if (result === undefined) throw new Difference("a push was replayed");
      this.#checkTokens(
        device,
        tokensIn(new TextDecoder("latin1").decode(encodePushResult(result))),
      );
      return result;
    });
    return { answers: Promise.all(all) };
  }

  /** The deltas as the client's schema version can say them. */
  #known({ client }: Device, deltas: readonly DeltaPlan[]): readonly DeltaPlan[] {
    return deltas.flatMap((delta): DeltaPlan[] => {
      const table = tablesIn(this.#plan, client.version).find(({ name }) => name === delta.table);
      if (table === undefined) return [];
      const known = new Set(columnsIn(table, client.version).map(({ name }) => name));
      const columns = Object.entries(delta.columns).filter(([name]) => known.has(name));
      return [{ ...delta, columns: Object.fromEntries(columns) }];
    });
  }

  #delta({ op, table: name, rowId, stamp, columns }: DeltaPlan, version: number): Delta {
    const table = this.#plan.tables.find((table) => table.name === name);
    if (table === undefined) throw new Error(`no table ${name}`);
    const nameOf = (column: string) =>
      nameIn(table.columns.find((item) => item.name === column) ?? { name: column }, version);
    return {
      shape: { op, table: nameIn(table, version), columns: Object.keys(columns).map(nameOf) },
      rowId,
      hlc: makeHlc(WORLD_START_MS + stamp[0], stamp[1]),
      values: Object.values(columns),
      deltaId: undefined,
    };
  }

  /** What `explain` says is what the reference says. */
  async #explain({ client, table: name, rowId }: EventOf<"explain">): Promise<void> {
    const table = tablesIn(this.#plan, this.#reference.version).find((item) => item.name === name);
    const device = this.#device(client);
    const who = this.#who(device);
    const gateway = await this.#opened();
    if (table === undefined || (await gateway.rules()).rules === undefined) return;
    const asked = { claims: who.claims, table: nameIn(table, this.#reference.version), rowId };
    const { visible } = await gateway.explain(asked);
    const expected = this.#reference.scope(who).get(name)?.has(rowId) ?? false;
    if (visible !== expected) {
      throw new Difference(`explained visible ${visible} of ${name} ${rowId}`);
    }
  }

  /** Compares the outcomes of pushes, in the order of their commit, with what they should be. */
  #judge(pushes: readonly PushPlan[], answers: readonly PushResult[]): void {
    for (const [i, push] of pushes.entries()) {
      const device = this.#device(push.client);
      const answer = answers[i];
      for (const deltas of push.transactions) {
        const mutationId = ++device.client.mutationId;
        const expected = this.#reference.write(this.#who(device), this.#known(device, deltas));
        this.#observe();
        const rejection = answer?.rejected.find((item) => item.mutationId === mutationId);
        const actual: Refusal | undefined = rejection === undefined
          ? undefined
          : { delta: rejection.delta, code: rejection.code as Refusal["code"] };
        if (JSON.stringify(actual) !== JSON.stringify(expected)) {
          throw new Difference(
            `${device.client.own.clientId}'s transaction ${mutationId}: expected ${
              outcome(expected)
            }, was ${outcome(actual)}${rejection === undefined ? "" : ` (${rejection.message})`}`,
          );
        }
      }
      if (answer?.lastMutationId !== device.client.mutationId) {
        throw new Difference(`lastMutationId ${answer?.lastMutationId}`);
      }
    }
    this.#observe();
  }

  async #pull({ client: index, mode, limit, repair }: EventOf<"pull">): Promise<void> {
    const gateway = await this.#opened();
    const device = this.#device(index);
    this.#met(device);
    const { client } = device;
    if (mode === "anew" || repair !== undefined) client.beginAnew();
    const ids = repair === undefined
      ? []
      : client.damage(new Random(repair), new Random(repair).token());
    for (let pages = 1;; pages++) {
      const page = await this.#page(gateway, device, limit, ids);
      if (page === undefined) {
        client.forget();
        continue;
      }
      if (mode === "lost" && repair === undefined) return;
      if (client.take(page.result)) {
        device.watched = page.watched;
        device.concerned = false;
        const anew = this.#isUnrepaired(client, ids);
        if (!anew) return this.#check(device, page.result);
        client.forget();
        continue;
      }
      if (mode !== "complete" && repair === undefined) return;
      if (pages > MAX_PAGES) throw new Difference("a checkpoint does not come to an end");
    }
  }

  /** Whether the client asked for a bucket that it was no longer granted, and must begin anew. */
  #isUnrepaired({ lastWhole, bucketIds, isFromNothing }: ModelClient, ids: readonly string[]) {
    if (isFromNothing) return false;
    for (const id of ids) {
      if (bucketIds.includes(id) && !lastWhole.has(id)) {
        throw new Difference(`the bucket ${id} was to be sent whole and was not`);
      }
    }
    return ids.some((id) => !bucketIds.includes(id));
  }

  /** Reads a page; undefined when the client must begin anew. */
  async #page(
    gateway: Gateway,
    device: Device,
    limit: number,
    repair: readonly string[],
  ): Promise<ScopedPull | undefined> {
    const { client } = device;
    const { cursor } = client;
    const request: PullRequest = {
      clientId: client.own.clientId,
      limit,
      schemaVersion: client.version,
      ...(cursor === undefined ? {} : { cursor }),
      ...(repair.length === 0 ? {} : { repair }),
    };
    try {
      const { result, watched } = await gateway.pullScoped(this.#caller(device), request);
      this.#checkTokens(device, tokensOnWire(result));
      const isNew = cursor === undefined || repair.length > 0 || !client.isAtCheckpoint;
      if (!device.concerned && !isNew && (result.changes.length > 0 || !result.complete)) {
        throw new Difference(`${client.own.clientId} was not told that there is something`);
      }
      return { result, watched };
    } catch (error) {
      const isResync = error instanceof LakeSyncError && error.code === "RESYNC_REQUIRED";
      if (isResync && cursor !== undefined) return undefined;
      throw error;
    }
  }

  #checkTokens({ client, seen }: Device, tokens: readonly string[]): void {
    for (const token of tokens) {
      if (!seen.has(token)) {
        throw new Difference(`${client.own.clientId} is told ${token}, which it never could see`);
      }
    }
  }

  #check(device: Device, page: PullResult): void {
    const { client } = device;
    const expected = this.#reference.expected(this.#who(device), client.version);
    const held = new Map(
      [...client.tables].map(([table, rows]) =>
        [table, new Map([...rows].map(([rowId, { cells }]) => [rowId, cells]))] as const
      ),
    );
    const difference = compare(expected, held);
    if (difference !== undefined) throw new Difference(`${client.own.clientId}: ${difference}`);
    client.checkBuckets();
    if (page.lastMutationId !== client.mutationId) {
      throw new Difference(`${client.own.clientId}: lastMutationId ${page.lastMutationId}`);
    }
  }
}

/** Resolves after so many microtasks. */
async function later(microtasks: number): Promise<void> {
  for (let i = 0; i < microtasks; i++) await undefined;
}

function outcome(refusal: Refusal | undefined): string {
  return refusal === undefined ? "accepted" : `${refusal.code} at delta ${refusal.delta}`;
}

/** Says where two sets of tables differ; tables without rows are as good as none. */
function compare(expected: ShownTables, held: ShownTables): string | undefined {
  for (const table of new Set([...expected.keys(), ...held.keys()])) {
    const [right, left] = [expected.get(table), held.get(table)];
    for (const rowId of new Set([...right?.keys() ?? [], ...left?.keys() ?? []])) {
      const [wanted, has] = [right?.get(rowId), left?.get(rowId)];
      if (wanted === undefined) return `${table} ${rowId} is there and should not be`;
      if (has === undefined) return `${table} ${rowId} is not there`;
      for (const name of new Set([...wanted.keys(), ...has.keys()])) {
        const [a, b] = [wanted.get(name) ?? null, has.get(name) ?? null];
        if (!same(a, b)) {
          return `${table} ${rowId} ${name} is ${canonicalJson(b)} and should be ${
            canonicalJson(a)
          }`;
        }
      }
    }
  }
  return undefined;
}

function same(a: Value, b: Value): boolean {
  return a === b || canonicalJson(a) === canonicalJson(b);
}

/**
 * Runs a world.
 *
 * @param plan the world
 * @param stores where its data is kept
 * @param mirror is begun anew
 * @returns where gateway and reference differ, undefined when they never do
 */
export async function play(
  plan: Plan,
  stores: Stores,
  mirror: Mirror,
): Promise<{ readonly step: number; readonly error: unknown } | undefined> {
  return await new Player(plan, stores, mirror).run();
}
