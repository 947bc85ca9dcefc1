/**
 * Holds requests to their rates, and tells their callers how these stand: with every answer, by the
 * one that leaves less.
 *
 * @module
 */

import type { VerifiedToken } from "../auth/token.ts";
import type { RateGate } from "../http/gates.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { Rates, type RatesOptions } from "./rates.ts";
import { type RateVerdict, requireAdmitted, setRateHeaders, tighter } from "./verdict.ts";

/** The rates that requests meet on their way. */
export class RequestRates implements RateGate {
  readonly #rates: Rates;
  readonly #verdicts = new WeakMap<RequestScope, RateVerdict>();

  constructor(options: RatesOptions) {
    this.#rates = new Rates(options);
  }

  checkAddress(scope: RequestScope): void | Promise<void> {
    return this.#hold(scope, this.#rates.ofAddress(scope.ip));
  }

  checkUser(scope: RequestScope, { sub }: VerifiedToken): void | Promise<void> {
    return this.#hold(scope, this.#rates.ofUser(sub));
  }

  #hold(
    scope: RequestScope,
    verdict: RateVerdict | Promise<RateVerdict> | undefined,
  ): void | Promise<void> {
    if (verdict instanceof Promise) return verdict.then((known) => this.#tell(scope, known));
    if (verdict !== undefined) this.#tell(scope, verdict);
  }

  #tell(scope: RequestScope, verdict: RateVerdict): void {
    const told = tighter(this.#verdicts.get(scope), verdict);
    this.#verdicts.set(scope, told);
    setRateHeaders(scope.headers, told);
    requireAdmitted(verdict);
  }
}
