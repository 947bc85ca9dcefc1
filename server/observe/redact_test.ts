import { DestinationError } from "@lakesync/adapters";
import assert from "node:assert/strict";
import fc from "fast-check";
import { errorText, hideSecret, hideSecretsOf, redactText } from "./redact.ts";

const SECRET_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
const secretArb = fc.string({
  unit: fc.constantFrom(...SECRET_CHARS),
  minLength: 16,
  maxLength: 64,
});

/** Ways in which a secret gets into a message. */
const CARRIERS: readonly ((secret: string) => string)[] = [
  (secret) => `connect to postgres://shop:${secret}@db.example:5432/shop failed`,
  (secret) => `mysql://${secret}@db/x`,
  (secret) => `s3://${secret}:x@bucket`,
  (secret) => `Authorization: Bearer ${secret}`,
  (secret) => `authorization: basic ${secret}==`,
  (secret) => `Sec-WebSocket-Protocol: lakesync.v1, bearer.${secret}`,
  (secret) => `GET /pull?token=${secret}&clientId=c`,
  (secret) => `{"password": "${secret}"}`,
  (secret) => `{"access_key":"${secret}"}`,
  (secret) => `secret=${secret};`,
  (secret) => `Set-Cookie: ${secret}`,
  (secret) => `eyJ${secret}.${secret}.${secret}`,
  (secret) => `-----BEGIN EC PRIVATE KEY-----\n${secret.replaceAll("-", "+")}`,
];

Deno.test("redactText leaves no secret that it can tell by its place, whatever it is", () => {
  fc.assert(fc.property(
    secretArb,
    fc.constantFrom(...CARRIERS),
    fc.string({ maxLength: 30 }),
    (secret, carry, around) => {
      const text = redactText(`${around} ${carry(secret)} ${around}`);
      assert.ok(!text.includes(secret.replaceAll("-", "+")) && !text.includes(secret), text);
    },
  ));
});

Deno.test("redactText leaves no secret that the process knows, and ordinary text as it is", () => {
  hideSecretsOf({
    url: "postgres://u:very%20secret@db/x",
    nested: [{ secretAccessKey: "4711471147114711", name: "lake" }],
  });
  hideSecret("kein-anderer");
  const said = "very secret, very%20secret, 4711471147114711, kein-anderer";
  assert.doesNotMatch(redactText(said), /very.{1,3}secret|4711|kein/);
  for (
    const text of [
      "Flushing to lake failed, it is tried again: The database cannot be reached",
      "The token has ended",
      "A token is needed, send Authorization: Bearer <token>",
      "http://127.0.0.1:8787/v1/sync/default/push",
      "commit 120 of 4711, 3 changes",
    ]
  ) assert.equal(redactText(text), text);
});

Deno.test("redactText bounds a text, and stays fast on what nobody wrote for it", () => {
  const long = "://".repeat(200_000) + "password=".repeat(100_000);
  const startMs = performance.now();
  assert.ok(redactText(long).length < 10_000);
  assert.ok(performance.now() - startMs < 1_000);
});

Deno.test("errorText tells no value of a row that a database quotes", () => {
  for (
    const said of [
      'invalid input syntax for type integer: "geheim"',
      "Duplicate entry 'geheim' for key 'PRIMARY'",
      "Incorrect integer value: 'geheim' for column 'n' at row 1",
      "Key (id)=(geheim) already exists",
    ]
  ) {
    const foreign = errorText(new Error(said), { full: true });
    const ours = redactText(errorText(new DestinationError("later", said), { full: true }));
    assert.doesNotMatch(`${redactText(foreign)} ${ours}`, /geheim/);
  }
});
