import assert from "node:assert/strict";
import { parseCommand } from "./config.ts";
import { startText } from "./start_text.ts";

function textOf(...args: string[]): string {
  const config = parseCommand(args, () => undefined);
  assert.ok(config.command === "serve");
  const facts = { version: "1", url: "http://127.0.0.1:1", hasSchema: false, hasRules: false };
  return startText({ config, ...facts });
}

Deno.test("startText names the database that changes go to, without user and password", () => {
  const text = textOf(
    "--to",
    "postgres://shop:geheim@db.example:5433/shop_{gateway}?sslmode=require",
  );
  assert.match(text, /^ {2}into {5}postgres \(postgres:\/\/db\.example:5433\/shop_\{gateway\}\)$/m);
  assert.doesNotMatch(text, /geheim/);
  assert.doesNotMatch(textOf(), /into/);
});

Deno.test("startText says where a lake is", () => {
  const text = textOf("--to", "lake");
  assert.match(text, /^ {2}into {5}lake \(lakesync-data\/lake\)$/m);
  assert.match(text, /^ {2}iceberg {2}http:\/\/127\.0\.0\.1:1\/v1\/iceberg, /m);
  assert.doesNotMatch(textOf("--to", "mysql://a@b/c"), /iceberg/);
  const bucket = textOf("--to", "s3://app/p/{gateway}?endpoint=http://127.0.0.1:9000");
  assert.match(bucket, /into {5}lake \(s3:\/\/app\/p\/\{gateway\} on http:\/\/127\.0\.0\.1:9000\)/);
});
