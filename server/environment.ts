/**
 * The world as a gateway under Deno gets it: clock, timers, hashing, log.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { hash } from "node:crypto";
import { setImmediate } from "node:timers";
import type { GatewayEnvironment } from "./gateway/environment.ts";

const logger = getLogger(["lakesync", "gateway"]);

/** The world of a gateway in a Deno process. */
export const DENO_ENVIRONMENT: GatewayEnvironment = {
  now: Date.now,
  nextTurn: () => new Promise((resolve) => void setImmediate(resolve)),
  setTimer: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  randomId: () => crypto.randomUUID(),
  hash: (text) => String(hash("sha256", text)),
  onError: (what, cause) => logger.error("{what}: {cause}", { what, cause }),
};
