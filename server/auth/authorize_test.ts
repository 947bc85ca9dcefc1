import assert from "node:assert/strict";
import { callerOf, refuseTokenInQuery, requireAdmin, tokenOf } from "./authorize.ts";
import type { VerifiedToken } from "./token.ts";

const TOKEN: VerifiedToken = {
  sub: "alice",
  gw: "notes",
  role: "client",
  endsMs: 0,
  claims: {},
};

Deno.test("refuseTokenInQuery knows tokens by name and by look", () => {
  const code = { code: "AUTH_ERROR" };
  for (
    const query of [
      "token=x",
      "access_token=x",
      "Access_Token=x",
      "jwt=",
      "clientId=a&auth=x",
      "q=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
    ]
  ) {
    assert.throws(() => refuseTokenInQuery(new URLSearchParams(query)), code);
  }
  refuseTokenInQuery(new URLSearchParams("clientId=a&cursor=eyJhIjoxfQ"));
});

Deno.test("tokenOf reads the header, and for a WebSocket the subprotocol", () => {
  const header = (name: string, value: string) => new Headers({ [name]: value });
  assert.equal(tokenOf(header("Authorization", "Bearer a.b.c")), "a.b.c");
  assert.equal(tokenOf(header("Authorization", "bearer  a.b.c")), "a.b.c");
  const offer = header("Sec-WebSocket-Protocol", "lakesync.v1,  bearer.a.b.c");
  assert.equal(tokenOf(offer, true), "a.b.c");
  for (
    const headers of [
      new Headers(),
      header("Authorization", "Basic eA=="),
      header("Authorization", "Bearer "),
      header("Authorization", "Bearer a b"),
      offer,
    ]
  ) {
    assert.throws(() => tokenOf(headers), { code: "AUTH_ERROR" });
  }
});

Deno.test("callerOf holds a token against the gateway, requireAdmin against the role", () => {
  assert.equal(callerOf(TOKEN, "notes").sub, "alice");
  assert.equal(callerOf({ ...TOKEN, gw: "*" }, "any").admin, false);
  assert.throws(() => callerOf(TOKEN, "Notes"), { code: "FORBIDDEN" });
  assert.throws(() => requireAdmin(TOKEN), { code: "FORBIDDEN" });
  requireAdmin({ ...TOKEN, role: "admin" });
});
