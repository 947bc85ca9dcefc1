/**
 * What a command's settings were given: flags win over variables, those over the configuration
 * file, that over defaults. What a value means is the command's business.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { MIN_SECRET_CHARS } from "./auth/token.ts";
import { type Setting, settingKey } from "./settings.ts";

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

function jsonObject(text: string): object | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
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

  /** A setting's value, and what it was given by as people know it. */
  #given(flag: string): readonly [value: string | undefined, name: string] {
    const value = this.#flags[flag];
    if (typeof value === "string") return [value, `--${flag}`];
    const setting = this.#settings.find((setting) => setting.flag === flag);
    const variable = setting?.env === undefined ? undefined : this.#env(setting.env);
    if (variable !== undefined && variable !== "") return [variable, setting?.env ?? ""];
    if (Object.hasOwn(this.#file, flag)) {
      const file = `the configuration ${this.optional("config") ?? "file"}`;
      return [this.#file[flag], `${settingKey(flag)} in ${file}`];
    }
    return [setting?.fallback, `--${flag}`];
  }

  optional(flag: string): string | undefined {
    return this.#given(flag)[0];
  }

  /**
   * The error of a setting whose value is wrong; it names what the value was given by.
   *
   * @param flag the setting
   * @param what what its value must be: `is a number from 1`
   */
  wrong(flag: string, what: string): UsageError {
    return new UsageError(`${this.#given(flag)[1]} ${what}`);
  }

  needed(flag: string): string {
    const value = this.optional(flag);
    if (value === undefined || value === "") {
      throw this.wrong(flag, "is needed");
    }
    return value;
  }

  /** Whether a switch is on; undefined when it was not given. */
  onOff(flag: string): boolean | undefined {
    const value = this.optional(flag);
    if (value === undefined) return undefined;
    if (value === "true" || value === "1") return true;
    if (value === "false" || value === "0") return false;
    throw this.wrong(flag, "is true or false");
  }

  oneOf<T extends string>(flag: string, choices: readonly T[]): T {
    const value = this.needed(flag);
    const choice = choices.find((choice) => choice === value);
    if (choice === undefined) {
      throw this.wrong(flag, `is one of ${choices.join(", ")}`);
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
    const claims = jsonObject(this.optional("claims") ?? "{}");
    if (claims === undefined) throw this.wrong("claims", "is a JSON object");
    return {
      ...claims,
      ...Object.fromEntries(texts),
    };
  }

  secret(): string | undefined {
    const secret = this.optional("secret")?.trim();
    if (secret !== undefined && secret.length < MIN_SECRET_CHARS) {
      throw this.wrong("secret", `has at least ${MIN_SECRET_CHARS} characters`);
    }
    return secret;
  }
}
