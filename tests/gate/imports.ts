/**
 * Which room may import what. Imports point one way: core ← adapters ← server, core ← client; what
 * is measured may use the servers that tests start.
 * Judges one file by its text, so that the check itself can be tested.
 *
 * @module
 */

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  adapters: ["core"],
  client: ["core"],
  server: ["core", "adapters"],
  "mod.ts": ["core", "client"],
  tests: ["core", "adapters", "client", "server", "mod.ts"],
  bench: ["core", "adapters", "client", "server", "mod.ts", "tests"],
  examples: ["core", "adapters", "client", "server", "mod.ts"],
};

/** Rooms that run under any runtime, with time and chance from outside. */
const PURE = ["core/", "server/gateway/", "server/flush/", "adapters/flush/"];

/** Rooms that are published; what they import by path must be published with them. */
const MEMBERS = ["core", "adapters", "client", "server"];

const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\bDeno\s*[.[]/, "uses a Deno API"],
  [/\bprocess\s*[.[]/, "uses a Node API"],
  [/\bBun\s*[.[]/, "uses a Bun API"],
  [/\bDate\.now\s*\(|\bnew Date\(\s*\)/, "reads the clock, which must come through a port"],
  [/\bMath\.random\s*\(|\bcrypto\.(getRandomValues|randomUUID)\b/, "takes chance of its own"],
  [/(?<![.\w])(setTimeout|setInterval)\s*\(/, "sets a timer, which must come through a port"],
  [/(?<![.\w])fetch\s*\(/, "uses the network"],
];

function isTest(path: string): boolean {
  return /(_test\.ts$|(^|\/)testing_[^/]*\.ts$)/.test(path);
}

/** The text without comments; what comments quote is not imported. */
function codeOf(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

/**
 * Finds what a module imports.
 *
 * @param source the module's text
 * @returns specifiers, static and dynamic, as they are written
 */
export function specifiersOf(source: string): string[] {
  const found = codeOf(source).matchAll(
    /\b(?:from|import)\s*\(?\s*(["'])([^"'\n]+)\1/g,
  );
  return [...found].map((match) => match[2] ?? "");
}

function roomOf(path: string): string {
  return path.split("/")[0] ?? path;
}

function judgeImport(path: string, specifier: string): string | undefined {
  const room = roomOf(path);
  let target: string | undefined;
  if (specifier.startsWith(".")) {
    target = roomOf(new URL(specifier, `file:///${path}`).pathname.slice(1));
    if (target === room) return undefined;
    if (MEMBERS.includes(room)) {
      return `imports ${specifier}: another package is imported by its name`;
    }
  } else {
    const name = /^@lakesync\/(\w+)/.exec(specifier)?.[1];
    target = name === "lakesync" ? "mod.ts" : name;
    if (target === room) return `imports its own package by name: ${specifier}`;
  }
  if (target === undefined || MAY_IMPORT[room]?.includes(target)) return undefined;
  return `imports ${specifier}: ${room} must not know ${target}`;
}

/**
 * Judges one file.
 *
 * @param path its path from the root of the workspace
 * @param source its text
 * @returns what is wrong with it, one text for each violation
 */
export function violationsOf(path: string, source: string): string[] {
  if (MAY_IMPORT[roomOf(path)] === undefined) return ["is in a room that nobody planned"];
  const specifiers = specifiersOf(source);
  const violations = specifiers
    .map((specifier) => judgeImport(path, specifier))
    .filter((violation) => violation !== undefined);
  if (isTest(path) || !PURE.some((room) => path.startsWith(room))) return violations;
  for (const specifier of specifiers) {
    if (/^(node|bun|jsr|https?):/.test(specifier)) {
      violations.push(`imports ${specifier}: it must run under any runtime`);
    }
  }
  const code = codeOf(source);
  for (const [pattern, what] of IMPURE) {
    if (pattern.test(code)) violations.push(what);
  }
  return violations;
}
