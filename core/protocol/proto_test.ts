import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { file_lakesync } from "./gen/lakesync_pb.ts";

const proto = readFileSync(new URL("lakesync.proto", import.meta.url), "utf8");
const history = [...proto.matchAll(/^\/\/ history: (.+)$/gm)]
  .map((match) => match[1]);
const code = proto.replaceAll(/\/\/.*$/gm, "").replaceAll(/\s+/g, " ").trim();

/**
 * One entry for each line of history in lakesync.proto: the hash of the wire as it was then,
 * without comments and spaces.
 */
const WIRE_OF: readonly (readonly [string, string])[] = [
  [
    "v1 (2026-11) first version.",
    "95bbb6b66b883c3b84d8331b517872ed25934616baeba1e2aa7c7dd3ff817ae6",
  ],
  [
    "v1 (2026-11) buckets: repair in pulls and hellos; a bucket may have no checksum, come whole, be gone, show some columns. Old peers pass all of it over.",
    "9df36d8e5ac7312a365d39493bed27904c94fecad1db988e5296c61b1baff869",
  ],
  [
    "v1 (2026-11) copies: where a forked name comes from, the link of a checkpoint, links and a name in CLIENT_FORKED, a refusal that is given back. Old peers pass all of it over.",
    "dba64a171bd9ec5f218055ff40809d6a93b3d8a45aeffda01ca6ca36eddb8f20",
  ],
  [
    "v1 (2026-11) written in Rows. A gateway that does not know it takes a transaction that was stamped anew for another one than it was.",
    "069c829a846c191af164341da350eeca0fd54d90f1190551006dce16251559d5",
  ],
];

Deno.test("G12: lakesync.proto changes only together with its history", () => {
  const hash = createHash("sha256").update(code).digest("hex");
  assert.equal(
    hash,
    WIRE_OF.at(-1)?.[1],
    "The wire changed: add a history line to lakesync.proto that says how old peers go on, and an entry to WIRE_OF",
  );
  assert.deepStrictEqual(history, WIRE_OF.map(([line]) => line));
});

/** `Message.name = number` for each field and value, as the text of a .proto has them. */
function fieldsOfText(): string[] {
  const fields: string[] = [];
  for (const [, name, body] of code.matchAll(/\bmessage (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}/g)) {
    for (const field of body?.matchAll(/(\w+) = (\d+);/g) ?? []) {
      fields.push(`${name}.${field[1]} = ${field[2]}`);
    }
  }
  for (const [, name, body] of code.matchAll(/\benum (\w+) \{([^}]*)\}/g)) {
    for (const value of body?.matchAll(/(\w+) = (\d+);/g) ?? []) {
      fields.push(`${name}.${value[1]} = ${value[2]}`);
    }
  }
  return fields;
}

Deno.test("the generated code has the fields and numbers of lakesync.proto", () => {
  const generated = [
    ...file_lakesync.messages.flatMap((message) =>
      message.fields.map((field) => `${message.name}.${field.name} = ${field.number}`)
    ),
    ...file_lakesync.enums.flatMap((of) =>
      of.values.map((value) => `${of.name}.${value.name} = ${value.number}`)
    ),
  ];
  assert.ok(generated.length > 80);
  assert.deepStrictEqual(fieldsOfText(), generated);
});
