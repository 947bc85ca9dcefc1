/**
 * The lists of all gateways in memory, so that every request can ask them: those of the
 * configuration, and the denials that admins make, which may be made by another process that shares
 * the store. A denial that cannot be written, since the disk is full, holds in this process anyway.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { AccessGate } from "../http/gates.ts";
import type { RecordBatch, RecordStore } from "../store/records.ts";
import {
  ACCESS_KINDS,
  type AccessChange,
  type AccessConfig,
  type AccessKind,
  type AccessNames,
  type TableAccess,
} from "./model.ts";
import { batchesOf, readDenials, versionOf } from "./stored.ts";

const logger = getLogger(["lakesync", "access"]);

/** How often changes of other processes are looked for, in milliseconds. */
const LOOK_EVERY_MS = 500;

/** Denials of one gateway and kind that admins may make. */
const MAX_DENIALS = 10_000;

/** What the lists stand on. */
export interface AccessListsOptions {
  /** The lists of the configuration, by gateway id. */
  readonly configs: Readonly<Record<string, AccessConfig>>;
  /** Keeps what admins deny. */
  readonly records: RecordStore;
  /** Told when somebody or something is kept out that was not, or no longer. */
  readonly changed: () => void;
}

/** The lists of a gateway as they hold. */
export interface AccessState {
  /** Who and what is kept out by name. */
  readonly deny: AccessNames;
  /** Who and what alone is let in, for the kinds that have such a list. */
  readonly allow: Readonly<Partial<AccessNames>>;
}

type Sets = Readonly<Record<AccessKind, Set<string>>>;

function noSets(): Sets {
  return { users: new Set(), clients: new Set(), tables: new Set() };
}

const NOBODY: Sets = noSets();

/** The lists of a gateway when a change is made. */
function stateAfter({ deny, allow }: AccessState, change: AccessChange): AccessState {
  const after = (kind: AccessKind) => {
    const undenied = new Set(change.undeny[kind]);
    const names = new Set([...deny[kind], ...change.deny[kind]]);
    return [...names].filter((name) => !undenied.has(name)).sort();
  };
  return {
    deny: { users: after("users"), clients: after("clients"), tables: after("tables") },
    allow,
  };
}

/** Keeps out who is on a list. */
export class AccessLists implements AccessGate {
  readonly #options: AccessListsOptions;
  readonly #configured = new Map<string, Sets>();
  readonly #allowed = new Map<string, Partial<Sets>>();
  #denied: ReadonlyMap<string, Sets> = new Map();
  /** Users and devices whose denial could not be written; they are in `#denied` too. */
  readonly #unwritten = new Map<string, Sets>();
  #version = "";
  #timer: ReturnType<typeof setInterval> | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  #isFailing = false;

  private constructor(options: AccessListsOptions) {
    this.#options = options;
    for (const [id, config] of Object.entries(options.configs)) {
      const denied = noSets();
      const allowed: Partial<Record<AccessKind, Set<string>>> = {};
      for (const kind of ACCESS_KINDS) {
        const { allow, deny = [] } = config[kind] ?? {};
        for (const name of deny) denied[kind].add(name);
        if (allow !== undefined) allowed[kind] = new Set(allow);
      }
      this.#configured.set(id, denied);
      this.#allowed.set(id, allowed);
    }
  }

  /**
   * Reads the lists, and looks for changes from then on where other processes can make some.
   *
   * @param options configuration and records
   */
  static async open(options: AccessListsOptions): Promise<AccessLists> {
    const lists = new AccessLists(options);
    await lists.#read();
    if (options.records.shared) {
      lists.#timer = setInterval(() => void lists.#look(), LOOK_EVERY_MS);
    }
    return lists;
  }

  /** Ends looking for changes. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reading;
  }

  checkUser(
    { gatewayId }: { readonly gatewayId: string | undefined },
    { gw, sub, role }: { readonly gw: string; readonly sub: string; readonly role: string },
  ): void {
    const id = gatewayId ?? gw;
    const isListed = this.#isDenied(id, "users", sub);
    if (!isListed && (role === "admin" || this.#isAllowed(id, "users", sub))) return;
    throw new LakeSyncError("FORBIDDEN", "This user is kept out of the gateway, ask its admin");
  }

  checkClient(gatewayId: string, clientId: string): void {
    if (this.#reaches(gatewayId, "clients", clientId)) return;
    throw new LakeSyncError("FORBIDDEN", "This device is kept out of the gateway, ask its admin");
  }

  /** Whether a live connection is of somebody who is kept out. */
  isOut(client: {
    readonly gatewayId: string;
    readonly clientId: string;
    readonly token: { readonly gw: string; readonly sub: string; readonly role: string };
  }): boolean {
    const { gatewayId, clientId, token } = client;
    try {
      this.checkUser({ gatewayId }, token);
      // A client that has not said hello yet has no name.
      if (clientId !== "") this.checkClient(gatewayId, clientId);
      return false;
    } catch {
      return true;
    }
  }

  /** Which tables of a gateway clients reach. */
  tables(gatewayId: string): TableAccess {
    const { deny, allow } = this.state(gatewayId);
    return { deny: deny.tables, ...(allow.tables === undefined ? {} : { allow: allow.tables }) };
  }

  /** The lists of a gateway, names ascending. */
  state(gatewayId: string): AccessState {
    const all = (kind: AccessKind) =>
      [...this.#configuredOf(gatewayId)[kind].union(this.#deniedOf(gatewayId)[kind])].sort();
    const allow: Partial<Record<AccessKind, readonly string[]>> = {};
    for (const kind of ACCESS_KINDS) {
      const names = this.#allowed.get(gatewayId)?.[kind];
      if (names !== undefined) allow[kind] = [...names].sort();
    }
    return {
      deny: { users: all("users"), clients: all("clients"), tables: all("tables") },
      allow,
    };
  }

  /**
   * Changes who is kept out; it holds in this process when this resolves, durably.
   *
   * @param gatewayId of which gateway
   * @param change what is denied, and no longer denied
   * @param commit writes the last batch, by which the change is whole, with whatever belongs to it;
   * told what holds then
   * @returns what `commit` gives
   * @throws {LakeSyncError} `VALIDATION_ERROR` for what only the configuration can change, and for
   * too many names; what the records throw when they cannot be written. Users and devices that were
   * to be denied are kept out by this process nevertheless until it ends, and the error says so.
   */
  async change<T>(
    gatewayId: string,
    change: AccessChange,
    commit: (batch: RecordBatch, after: AccessState) => Promise<T>,
  ): Promise<T> {
    return await this.#inTurn(async () => {
      await this.#readNew();
      this.#check(gatewayId, change);
      const done = await this.#write(gatewayId, change, commit).catch((error: unknown) => {
        throw this.#hold(gatewayId, change, error);
      });
      this.#writtenNow(gatewayId, change);
      await this.#read();
      return done;
    });
  }

  async #write<T>(
    gatewayId: string,
    change: AccessChange,
    commit: (batch: RecordBatch, after: AccessState) => Promise<T>,
  ): Promise<T> {
    const batches = batchesOf(gatewayId, change);
    for (const batch of batches.slice(0, -1)) await this.#options.records.commit(batch);
    return await commit(batches.at(-1) ?? {}, stateAfter(this.state(gatewayId), change));
  }

  /** Keeps out whom a change was to deny that could not be written; gives what to tell. */
  #hold(gatewayId: string, { deny }: AccessChange, cause: unknown): unknown {
    if (deny.users.length + deny.clients.length === 0) return cause;
    const unwritten = this.#unwritten.get(gatewayId) ?? noSets();
    this.#unwritten.set(gatewayId, unwritten);
    const denied = this.#denied.get(gatewayId) ?? noSets();
    this.#denied = new Map([...this.#denied, [gatewayId, denied]]);
    for (const kind of ["users", "clients"] as const) {
      for (const name of deny[kind]) {
        unwritten[kind].add(name);
        denied[kind].add(name);
      }
    }
    logger.error("A denial could not be written and holds until the server restarts: {cause}", {
      cause,
    });
    this.#options.changed();
    const isTold = cause instanceof LakeSyncError;
    return new LakeSyncError(
      isTold ? cause.code : "INTERNAL_ERROR",
      "The change could not be written. This process keeps the users and devices out that it denies" +
        ", until it restarts; make room on the disk and send it again",
      isTold ? cause.details : {},
      { cause },
    );
  }

  /** What a change names is as it was written. */
  #writtenNow(gatewayId: string, { deny, undeny }: AccessChange): void {
    const unwritten = this.#unwritten.get(gatewayId);
    if (unwritten === undefined) return;
    for (const kind of ACCESS_KINDS) {
      for (const name of [...deny[kind], ...undeny[kind]]) unwritten[kind].delete(name);
    }
  }

  /** Reads what was changed and not read yet, for instance by a process that was killed. */
  async follow(): Promise<void> {
    await this.#inTurn(() => this.#readNew());
  }

  #check(gatewayId: string, { deny, undeny }: AccessChange): void {
    for (const kind of ACCESS_KINDS) {
      const configured = this.#configuredOf(gatewayId)[kind];
      if (undeny[kind].some((name) => configured.has(name))) {
        throw new LakeSyncError(
          "VALIDATION_ERROR",
          `undeny.${kind} has a name that the configuration file denies, change it there`,
        );
      }
      const size = this.#deniedOf(gatewayId)[kind].size + deny[kind].length;
      if (size > MAX_DENIALS && deny[kind].length > 0) {
        throw new LakeSyncError(
          "VALIDATION_ERROR",
          `A gateway denies at most ${MAX_DENIALS} ${kind}, undeny some or use sync rules`,
        );
      }
    }
  }

  #configuredOf(gatewayId: string): Sets {
    return this.#configured.get(gatewayId) ?? NOBODY;
  }

  #deniedOf(gatewayId: string): Sets {
    return this.#denied.get(gatewayId) ?? NOBODY;
  }

  #isDenied(gatewayId: string, kind: AccessKind, name: string): boolean {
    return this.#deniedOf(gatewayId)[kind].has(name) ||
      this.#configuredOf(gatewayId)[kind].has(name);
  }

  #isAllowed(gatewayId: string, kind: AccessKind, name: string): boolean {
    return this.#allowed.get(gatewayId)?.[kind]?.has(name) ?? true;
  }

  #reaches(gatewayId: string, kind: AccessKind, name: string): boolean {
    return !this.#isDenied(gatewayId, kind, name) && this.#isAllowed(gatewayId, kind, name);
  }

  /** One after the other, so that what was read first never replaces what was read last. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#reading.then(work);
    this.#reading = done.catch(() => {});
    return done;
  }

  async #readNew(): Promise<void> {
    if (await versionOf(this.#options.records) !== this.#version) await this.#read();
  }

  /** Reads the denials; a change between the version and them is read again by the next look. */
  async #read(): Promise<void> {
    const version = await versionOf(this.#options.records);
    const denied = new Map<string, Sets>();
    for (const { gatewayId, kind, name } of await readDenials(this.#options.records)) {
      const sets = denied.get(gatewayId) ?? noSets();
      denied.set(gatewayId, sets);
      sets[kind].add(name);
      this.#unwritten.get(gatewayId)?.[kind].delete(name);
    }
    for (const [gatewayId, unwritten] of this.#unwritten) {
      const sets = denied.get(gatewayId) ?? noSets();
      denied.set(gatewayId, sets);
      for (const kind of ACCESS_KINDS) for (const name of unwritten[kind]) sets[kind].add(name);
    }
    this.#denied = denied;
    this.#version = version;
    this.#options.changed();
  }

  async #look(): Promise<void> {
    try {
      await this.follow();
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) {
        logger.error("Lists of who is kept out cannot be read, those before go on: {error}", {
          error,
        });
      }
      this.#isFailing = true;
    }
  }
}
