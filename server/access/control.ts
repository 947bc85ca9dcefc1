/**
 * What decides who gets in, put together: tokens and their keys, lists of who is kept out, and the
 * live connections that end when either takes a right away.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { AuditEvent } from "../audit/audit.ts";
import type { KeyChange } from "../auth/key_ring.ts";
import type { VerifiedToken } from "../auth/token.ts";
import { createAuthenticator, type KeyedAuthenticator, type TrustOptions } from "../auth/verify.ts";
import type { RecordStore } from "../store/records.ts";
import { TokenFailures } from "./failures.ts";
import { AccessLists } from "./lists.ts";
import type { AccessConfig } from "./model.ts";

const logger = getLogger(["lakesync", "access"]);

/** What it stands on. */
export interface AccessControlOptions {
  /** Which tokens are trusted. */
  readonly trust: TrustOptions;
  /** The lists of the configuration, by gateway id. */
  readonly configs: Readonly<Record<string, AccessConfig>>;
  /** Keeps what admins deny. */
  readonly records: RecordStore;
  /** Remembers what happened. */
  readonly note: (event: AuditEvent) => unknown;
}

/** A live connection, as far as its right goes. */
export interface HeldRight {
  /** The gateway. */
  readonly gatewayId: string;
  /** The device; empty until it has said hello. */
  readonly clientId: string;
  /** The token. */
  readonly token: VerifiedToken;
}

/** The live connections. */
export interface RightHolders {
  /** Ends those that are chosen; gives how many they were. */
  endWhere(which: (client: HeldRight) => boolean, error: LakeSyncError): number;
}

/** Who gets in. */
export class AccessControl {
  /** Checks tokens. */
  readonly authenticator: KeyedAuthenticator;
  /** Counts tokens that are refused. */
  readonly failures: TokenFailures;
  readonly #note: AccessControlOptions["note"];
  #live: RightHolders | undefined;
  #lists: AccessLists | undefined;

  private constructor({ trust, note }: AccessControlOptions) {
    this.#note = note;
    this.authenticator = createAuthenticator(trust);
    this.authenticator.onChange((change) => this.#keysChanged(change));
    this.failures = new TokenFailures(trust.now ?? Date.now, (event) => {
      logger.warning("Many tokens were refused within a minute", { ip: event.ip });
      note(event);
    });
  }

  /**
   * Puts it together.
   *
   * @throws {LakeSyncError} `VALIDATION_ERROR` when nothing is trusted; what the records throw
   */
  static async open(options: AccessControlOptions): Promise<AccessControl> {
    const control = new AccessControl(options);
    const { configs, records } = options;
    control.#lists = await AccessLists.open({
      configs,
      records,
      changed: () => control.#listsChanged(),
    });
    control.authenticator.watch();
    return control;
  }

  /** The lists. */
  get lists(): AccessLists {
    if (this.#lists === undefined) throw new Error("The lists have not been read");
    return this.#lists;
  }

  /** Ends those connections from now on whose right is taken away. */
  guard(live: RightHolders): void {
    this.#live = live;
  }

  /** Ends looking for changes. */
  async close(): Promise<void> {
    await this.authenticator.close();
    await this.#lists?.close();
  }

  #keysChanged({ source, added, removed, ending }: KeyChange): void {
    const ended = this.#live?.endWhere(
      ({ token }) => !this.authenticator.trusts(token),
      new LakeSyncError("AUTH_ERROR", "The key that signed the token is no longer trusted"),
    ) ?? 0;
    const details = { source, added: [...added], removed: [...removed], ending: [...ending] };
    logger.warning("Keys changed: {added} added, {removed} removed, {ending} to end", {
      ...details,
      ended,
    });
    this.#note({
      what: "keys.change",
      outcome: "done",
      sub: "server",
      details: { ...details, ended },
    });
  }

  #listsChanged(): void {
    const lists = this.#lists;
    this.#live?.endWhere(
      (client) => lists?.isOut(client) === true,
      new LakeSyncError("FORBIDDEN", "The user or device is kept out of the gateway"),
    );
  }
}
