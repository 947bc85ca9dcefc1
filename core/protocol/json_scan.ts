/**
 * Bounds what a JSON text may cost before it is parsed: an object of two bytes on the wire is a
 * hundred in memory, and one with a million different names takes a second to make.
 *
 * Internal to the protocol; use json.ts.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "../limits.ts";
import { LakeSyncError } from "../errors.ts";

/** Objects and arrays of one body; a push within its limits has a few tens of thousands. */
export const MAX_JSON_CONTAINERS = 1_000_000;

/** Members of one object. */
export const MAX_OBJECT_MEMBERS = 100_000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

function refuse(what: string): never {
  throw new LakeSyncError("VALIDATION_ERROR", `The body ${what}`);
}

/** Where a string ends that begins with the quote at a place; the end of a text without one. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) break;
    if (code === BACKSLASH) at++;
  }
  return at;
}

/**
 * Refuses a text that would cost too much. Whether it is JSON is for the parser to say.
 *
 * @param text the text of a body
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is nested too deep, or holds too many objects
 * and arrays or an object of too many members
 */
export function scanJson(text: string): void {
  /** Commas of each level that is open. */
  const commas: number[] = [];
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case OPEN_OBJECT:
      case OPEN_LIST:
        commas[++depth] = 0;
        if (depth > DEFAULT_LIMITS.maxJsonDepth) {
          refuse(`is nested deeper than ${DEFAULT_LIMITS.maxJsonDepth} levels`);
        }
        if (++containers > MAX_JSON_CONTAINERS) {
          refuse(`holds more than ${MAX_JSON_CONTAINERS} objects and lists`);
        }
        break;
      case COMMA:
        commas[depth] = (commas[depth] ?? 0) + 1;
        break;
      case CLOSE_OBJECT:
        if ((commas[depth] ?? 0) >= MAX_OBJECT_MEMBERS) {
          refuse(`has an object of more than ${MAX_OBJECT_MEMBERS} members`);
        }
        if (--depth < 0) return;
        break;
      case CLOSE_LIST:
        if (--depth < 0) return;
    }
  }
}
