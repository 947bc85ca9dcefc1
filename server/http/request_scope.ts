/**
 * One request from its arrival to its answer: what finds it in the log, where it comes from, how
 * much time it has, and what became known of it on the way.
 *
 * @module
 */

import type { ErrorCode } from "@lakesync/core";
import type { AuditEvent } from "../audit/audit.ts";
import type { AuditDetails } from "../audit/details.ts";
import type { Role, VerifiedToken } from "../auth/token.ts";
import type { PeerAddress } from "../live/peer_sockets.ts";
import type { Deadline } from "./deadline.ts";

/** What a scope is made of. */
export interface RequestScopeOptions {
  /** Finds it in the log. */
  readonly id: string;
  /** The request. */
  readonly request: Request;
  /** The address it comes from; empty where that is not known. */
  readonly ip: string;
  /** The other end of its socket, which may be a proxy, where that is known. */
  readonly peer?: PeerAddress | undefined;
  /** How much time it has. */
  readonly deadline: Deadline;
}

/** One request on its way. */
export class RequestScope {
  /** Finds it in the log. */
  readonly id: string;
  /** The request. */
  readonly request: Request;
  /** Its path, without the query. */
  readonly path: string;
  /** The address it comes from; empty where that is not known. */
  readonly ip: string;
  /** The other end of its socket, which may be a proxy, where that is known. */
  readonly peer: PeerAddress | undefined;
  /** How much time it has. */
  readonly deadline: Deadline;
  /** Headers of its answer, whatever that is. */
  readonly headers: Map<string, string> = new Map();
  /** The path as the routes have it, `/v1/sync/{gatewayId}/push`, once that is known. */
  route: string | undefined;
  /** The gateway it is about, once that is known to be a possible id. */
  gatewayId: string | undefined;
  /** Whose token it has, once that was checked. */
  sub: string | undefined;
  /** That token. */
  token: VerifiedToken | undefined;
  /** The role of that token. */
  role: Role | undefined;
  /** What the audit log is told of it, beside who asked for what. */
  auditDetails: AuditDetails | undefined;
  /** Makes what the audit log is told when it is done, until the log has that. */
  doneEvent: (() => AuditEvent) | undefined;
  /** Which client sends it, once that was read. */
  clientId: string | undefined;
  /** What refused it, once something has. */
  code: ErrorCode | undefined;
  /** Whether it was turned away for want of memory. */
  isShed = false;
  /** Its answer when that is a stream: under way, ended, or cut before its end. */
  stream: "open" | "ended" | "cut" | undefined;

  constructor({ id, request, ip, peer, deadline }: RequestScopeOptions) {
    this.id = id;
    this.request = request;
    this.path = pathOf(request.url);
    this.ip = ip;
    this.peer = peer;
    this.deadline = deadline;
  }

  /** Aborts when the answer is of no use any more: time is over, or the caller is gone. */
  get signal(): AbortSignal {
    return this.deadline.signal;
  }
}

/** The path of an address, without parsing all of it. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return "/";
  const end = url.indexOf("?", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}
