/**
 * Checks of what a configuration says: every key is known, every value of its type. Whoever reads
 * what was checked may take it for what its type says.
 *
 * @module
 */

import { UsageError } from "../values.ts";

/** Checks a value; what it throws names the place. */
export type Check = (value: unknown, place: string) => void;

/** Checks of an object's values, by key. */
export type Fields = Readonly<Record<string, Check>>;

/** What an object of some kind holds beside its `type`. */
export interface Kind {
  /** What it must have. */
  readonly needed?: Fields;
  /** What it may have. */
  readonly optional?: Fields;
  /** What must hold between them. */
  readonly together?: (value: Readonly<Record<string, unknown>>, place: string) => void;
}

/** Tells whether a value is an object with keys. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value of a type. */
export function of(type: "string" | "boolean" | "function"): Check {
  return (value, place) => {
    const actual: string = typeof value;
    if (actual !== type) throw new UsageError(`${place} must be a ${type}`);
  };
}

/** A text that is not empty. */
export const text: Check = (value, place) => {
  if (typeof value === "string" && value !== "") return;
  throw new UsageError(`${place} must be a text`);
};

/** One of some texts. */
export function oneOf(...choices: readonly string[]): Check {
  return (value, place) => {
    if (typeof value === "string" && choices.includes(value)) return;
    throw new UsageError(`${place} must be one of ${choices.join(", ")}`);
  };
}

/** A whole number from a least one on. */
export function whole(least: number): Check {
  return (value, place) => {
    if (Number.isSafeInteger(value) && Number(value) >= least) return;
    throw new UsageError(`${place} must be a whole number from ${least}`);
  };
}

/** A number of days. */
export const days: Check = (value, place) => {
  if (typeof value === "number" && value > 0 && value <= 36_500) return;
  throw new UsageError(`${place} must be a number of days above 0`);
};

/** A web address without user and password, which belong elsewhere. */
export const webAddress: Check = (value, place) => {
  const url = typeof value === "string" ? URL.parse(value) : null;
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (!isWeb) throw new UsageError(`${place} must be an address like https://host`);
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(`${place} must be an address without user and password`);
  }
};

/**
 * Checks an object's values.
 *
 * @param input the object
 * @param place where it stands
 * @param needed what it must have
 * @param optional what it may have
 * @throws {UsageError} which names the place
 */
export function checkFields(
  input: Readonly<Record<string, unknown>>,
  place: string,
  needed: Fields,
  optional: Fields,
): void {
  const known = { ...needed, ...optional };
  for (const [key, value] of Object.entries(input)) {
    const check = Object.hasOwn(known, key) ? known[key] : undefined;
    if (check === undefined) {
      const all = Object.keys(known).join(", ");
      throw new UsageError(
        `${place}.${key.slice(0, 64)} is not known, there ${all === "" ? "is none" : `are ${all}`}`,
      );
    }
    if (value !== undefined) check(value, `${place}.${key}`);
  }
  for (const key of Object.keys(needed)) {
    if (input[key] === undefined) throw new UsageError(`${place}.${key} is needed`);
  }
}

/**
 * Checks an object whose `type` says what it holds.
 *
 * @param input the object
 * @param place where it stands
 * @param kinds what each type holds
 * @param more what any of them may hold beside it
 * @throws {UsageError} which names the place
 */
export function checkKind(
  input: unknown,
  place: string,
  kinds: Readonly<Record<string, Kind>>,
  more: Fields = {},
): void {
  if (!isRecord(input)) throw new UsageError(`${place} must be an object with a type`);
  const { type, ...rest } = input;
  const kind = typeof type === "string" && Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (kind === undefined) {
    throw new UsageError(`${place}.type must be one of ${Object.keys(kinds).join(", ")}`);
  }
  checkFields(rest, place, kind.needed ?? {}, { ...kind.optional, ...more });
  kind.together?.(rest, place);
}
