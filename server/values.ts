/**
 * What a command's settings were given: flags win over variables, those over the configuration
 * file, that over defaults. What a value means is the command's business.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { MIN_SECRET_CHARS } from "./auth/token.ts";
import type { Setting } from "./settings.ts";

/** The command was used wrongly; it ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Gives switches the value that they may go without: `--dev` is true, `--no-dev` false. */
function spelledOut(args: readonly string[], settings: readonly Setting[]): string[] {
  const switches = settings.filter(({ onOff }) => onOff === true).map(({ flag }) => flag);
  return args.map((arg) => {
    for (const flag of switches) {
      if (arg === `--${flag}`) return `--${flag}=true`;
      if (arg === `--no-${flag}`) return `--${flag}=false`;
    }
    return arg;
  });
}

function jsonObject(flag: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(`--${flag} is a JSON object`);
  }
  return value;
}

/** The values of a command's settings. */
export class Values {
  readonly #flags: Readonly<Record<string, unknown>>;
  readonly #settings: readonly Setting[];
  readonly #env: (name: string) => string | undefined;
  readonly #file: Readonly<Record<string, string>>;

  constructor(
    args: readonly string[],
    settings: readonly Setting[],
    env: (name: string) => string | undefined,
    file: Readonly<Record<string, string>> = {},
  ) {
    try {
      this.#flags = parseArgs({
        args: spelledOut(args, settings),
        options: Object.fromEntries(settings.map(({ flag, multiple }) => [
          flag,
          { type: "string", multiple: multiple === true },
        ])),
      }).values;
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : "");
    }
    this.#settings = settings;
    this.#env = env;
    this.#file = file;
  }

  optional(flag: string): string | undefined {
    const value = this.#flags[flag];
    if (typeof value === "string") return value;
    const setting = this.#settings.find((setting) => setting.flag === flag);
    const variable = setting?.env === undefined ? undefined : this.#env(setting.env);
    if (variable !== undefined && variable !== "") return variable;
    return Object.hasOwn(this.#file, flag) ? this.#file[flag] : setting?.fallback;
  }

  needed(flag: string): string {
    const value = this.optional(flag);
    if (value === undefined || value === "") {
      throw new UsageError(`--${flag} is needed`);
    }
    return value;
  }

  /** Whether a switch is on; undefined when it was not given. */
  onOff(flag: string): boolean | undefined {
    const value = this.optional(flag);
    if (value === undefined) return undefined;
    if (value === "true" || value === "1") return true;
    if (value === "false" || value === "0") return false;
    throw new UsageError(`--${flag} is true or false`);
  }

  oneOf<T extends string>(flag: string, choices: readonly T[]): T {
    const value = this.needed(flag);
    const choice = choices.find((choice) => choice === value);
    if (choice === undefined) {
      throw new UsageError(`--${flag} is one of ${choices.join(", ")}`);
    }
    return choice;
  }

  list(flag: string): readonly string[] {
    const value = this.#flags[flag];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** Claims given as a JSON object, and as `<name>=<text>`, which win. */
  claims(): Record<string, unknown> {
    const texts = this.list("claim").map((claim) => {
      const at = claim.indexOf("=");
      if (at < 1) throw new UsageError("--claim is <name>=<text>");
      return [claim.slice(0, at), claim.slice(at + 1)] as const;
    });
    return {
      ...jsonObject("claims", this.optional("claims") ?? "{}"),
      ...Object.fromEntries(texts),
    };
  }

  secret(): string | undefined {
    const secret = this.optional("secret")?.trim();
    if (secret !== undefined && secret.length < MIN_SECRET_CHARS) {
      throw new UsageError(
        `--secret has at least ${MIN_SECRET_CHARS} characters`,
      );
    }
    return secret;
  }
}
