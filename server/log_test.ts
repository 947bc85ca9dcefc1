import { DestinationError } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import type { LogRecord } from "@logtape/logtape";
import assert from "node:assert/strict";
import { type LogConfig, logFormatter } from "./log.ts";

function line(
  message: readonly unknown[],
  properties: Record<string, unknown> = {},
  { logLevel = "info", logFormat = "pretty" }: Partial<LogConfig> = {},
): string {
  const record: LogRecord = {
    category: ["lakesync", "test"],
    level: "error",
    timestamp: 0,
    rawMessage: "",
    message,
    properties,
  };
  return logFormatter({ logLevel, logFormat })(record);
}

Deno.test("logFormatter writes what a destination failed with as one line, and in full for debug", () => {
  const cause = new Error("connect ECONNREFUSED");
  const error = new DestinationError("later", "The database cannot be reached", { cause });
  const text = line(["Flushing failed: ", error, ""]);
  assert.match(text, /Flushing failed: The database cannot be reached\n$/);
  const full = line(["", error, ""], {}, { logLevel: "debug" });
  assert.match(
    full,
    /The database cannot be reached\n +at .*\nbecause of Error: connect ECONNREFUSED/s,
  );
});

Deno.test("logFormatter tells of errors of others the kind and the place, not what they quote", () => {
  const thrown = (() => {
    try {
      return JSON.parse('{"card": geheim-4711}');
    } catch (error) {
      return error;
    }
  })();
  const text = line(["", thrown, ""]);
  assert.match(text, /SyntaxError\n +at /);
  assert.doesNotMatch(text, /geheim/);
  const quoting = new RangeError('invalid value "geheim" for "card"');
  assert.doesNotMatch(line(["", quoting, ""]), /geheim/);
  assert.match(
    line(["", new Deno.errors.NotFound("no file 'x.db'"), ""]),
    /NotFound: no file 'x\.db'/,
  );
});

Deno.test("logFormatter writes no secret in either form, wherever it is", () => {
  const secrets = [
    "postgres://shop:geheim-1@db.example/shop",
    "Authorization: Bearer geheim-22222222",
    "token=geheim-3333333",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJnZWhlaW0ifQ.geheim-4",
  ];
  for (const logFormat of ["pretty", "json"] as const) {
    for (const secret of secrets) {
      const error = new DestinationError("later", `Failed with ${secret}`);
      const text = line(["Of ", secret, " and ", error, ""], {
        said: secret,
        error,
        nested: { said: [secret] },
      }, { logFormat, logLevel: "debug" });
      assert.doesNotMatch(text, /geheim/, `${logFormat} ${secret}`);
    }
  }
});

Deno.test("logFormatter writes one JSON object a line, whatever a message has in it", () => {
  const error = new LakeSyncError("INTERNAL_ERROR", 'a "quoted"\nline');
  const text = line(["", error, ""], { n: 1n, error }, { logFormat: "json" });
  assert.equal(text.trimEnd().split("\n").length, 1);
  const parsed = JSON.parse(text);
  assert.equal(parsed.level, "ERROR");
  assert.equal(parsed.properties.error, 'a "quoted"\nline');
});
