/**
 * Logs what pushes did not get done though they were answered: transactions that were refused, and
 * where a push stopped. By these lines a device is found whose writes do not arrive.
 *
 * @module
 */

import type { PushResult } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import { LineBudget } from "./line_budget.ts";

const logger = getLogger(["lakesync", "requests"]);

/** Lines of it in a second. */
const MAX_LINES_PER_SECOND = 20;

/** Writes the lines. */
export class RefusedPushes {
  readonly #budget = new LineBudget(MAX_LINES_PER_SECOND, (lines) => {
    logger.info("{lines} more lines of refused transactions were left out", { lines });
  });

  /** A push was answered. */
  answered(gateway: string, client: string, { rejected, stopped }: PushResult): void {
    if (rejected.length === 0 && stopped === undefined) return;
    if (!this.#budget.take()) return;
    const facts = { gateway, client };
    if (stopped !== undefined) {
      const { mutationId, code } = stopped;
      logger.info(
        "A push of client {client} to gateway {gateway} stopped at {mutationId}: {code}",
        { ...facts, mutationId, code },
      );
    }
    if (rejected.length === 0) return;
    const codes = [...new Set(rejected.map(({ code }) => code))].join(", ");
    logger.info(
      "{count} transactions of client {client} to gateway {gateway} were refused: {codes}",
      { ...facts, count: rejected.length, codes },
    );
  }
}
