/**
 * One request from its arrival to its answer: what finds it in the log, where it comes from, and
 * what became known of it on the way.
 *
 * @module
 */

/** What a scope is made of. */
export interface RequestScopeOptions {
  /** Finds it in the log. */
  readonly id: string;
  /** The request. */
  readonly request: Request;
  /** The address it comes from; empty where that is not known. */
  readonly ip: string;
  /** Aborts when the answer is of no use any more: time is over, or the caller is gone. */
  readonly signal: AbortSignal;
}

/** One request on its way. */
export class RequestScope {
  /** Finds it in the log. */
  readonly id: string;
  /** The request. */
  readonly request: Request;
  /** The address it comes from; empty where that is not known. */
  readonly ip: string;
  /** Aborts when the answer is of no use any more: time is over, or the caller is gone. */
  readonly signal: AbortSignal;
  /** The gateway it is about, once that is known to be a possible id. */
  gatewayId: string | undefined;
  /** Whose token it has, once that was checked. */
  sub: string | undefined;
  /** Which client sends it, once that was read. */
  clientId: string | undefined;

  constructor({ id, request, ip, signal }: RequestScopeOptions) {
    this.id = id;
    this.request = request;
    this.ip = ip;
    this.signal = signal;
  }
}
