import { PROTOBUF_TYPE } from "@lakesync/core";
import assert from "node:assert/strict";
import { answerFormat, bodyFormat } from "./media.ts";

Deno.test("answerFormat follows Accept, then the body's form, then takes JSON", () => {
  const cases: [accept: string | undefined, type: string | undefined, string][] = [
    [undefined, undefined, "json"],
    [undefined, PROTOBUF_TYPE, "protobuf"],
    ["*/*", PROTOBUF_TYPE, "protobuf"],
    ["*/*", "application/json", "json"],
    [PROTOBUF_TYPE, "application/json", "protobuf"],
    ["application/json", PROTOBUF_TYPE, "json"],
    [`application/json;q=0.5, ${PROTOBUF_TYPE}`, undefined, "protobuf"],
    [`application/json, ${PROTOBUF_TYPE};q=0.9`, undefined, "json"],
    [`${PROTOBUF_TYPE};q=0, */*`, undefined, "json"],
    ["text/html, application/*;q=0.8", PROTOBUF_TYPE, "protobuf"],
    ["text/html", PROTOBUF_TYPE, "json"],
    ["APPLICATION/X-PROTOBUF", undefined, "protobuf"],
    [";;,,q=x", undefined, "json"],
  ];
  for (const [accept, type, format] of cases) {
    const headers = new Headers();
    if (accept !== undefined) headers.set("Accept", accept);
    if (type !== undefined) headers.set("Content-Type", type);
    assert.equal(answerFormat(headers), format, `${accept} ${type}`);
  }
});

Deno.test("bodyFormat ignores parameters and case, and refuses other types", () => {
  const of = (type: string) => bodyFormat(new Headers({ "Content-Type": type }));
  assert.equal(bodyFormat(new Headers()), "json");
  assert.equal(of("Application/JSON; charset=utf-8"), "json");
  assert.equal(of(PROTOBUF_TYPE), "protobuf");
  for (const type of ["text/plain", "application/jsonp", "", "application/xml"]) {
    assert.throws(() => of(type), { code: "UNSUPPORTED_MEDIA_TYPE" }, type);
  }
});
