import { configure, reset } from "@logtape/logtape";
import assert from "node:assert/strict";
import {
  addressReader,
  clientAddress,
  NO_PROXIES,
  parseTrustedProxies,
  type TrustedProxies,
} from "./trusted_proxy.ts";

function trusted(text: string): TrustedProxies {
  const proxies = parseTrustedProxies(text);
  assert.ok(proxies !== undefined);
  return proxies;
}

function from(proxies: TrustedProxies, peer: string, forwarded?: string): string {
  const headers = new Headers(forwarded === undefined ? {} : { "X-Forwarded-For": forwarded });
  return clientAddress(proxies, peer, headers);
}

Deno.test("clientAddress believes no header unless a proxy is trusted", () => {
  assert.equal(from(NO_PROXIES, "192.0.2.9", "10.0.0.1"), "192.0.2.9");
  assert.equal(from(trusted("0"), "192.0.2.9", "10.0.0.1"), "192.0.2.9");
});

Deno.test("clientAddress reads as many entries from the right as there are proxies", () => {
  const spoofed = "1.1.1.1, 2.2.2.2,3.3.3.3";
  assert.equal(from(trusted("1"), "10.0.0.1", spoofed), "3.3.3.3");
  assert.equal(from(trusted("2"), "10.0.0.1", spoofed), "2.2.2.2");
  assert.equal(from(trusted("9"), "10.0.0.1", spoofed), "1.1.1.1");
  assert.equal(from(trusted("1"), "10.0.0.1"), "10.0.0.1");
  assert.equal(from(trusted("1"), "10.0.0.1", "3.3.3.3:4711"), "3.3.3.3");
  assert.equal(from(trusted("1"), "10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
  assert.equal(from(trusted("2"), "10.0.0.1", "1.1.1.1, unknown, 3.3.3.3"), "3.3.3.3");
});

Deno.test("clientAddress goes left while addresses are in trusted networks", () => {
  const proxies = trusted("10.0.0.0/8, 2001:db8::/32");
  assert.equal(from(proxies, "10.0.0.1", "1.1.1.1, 7.7.7.7, 10.2.0.1"), "7.7.7.7");
  assert.equal(from(proxies, "192.0.2.9", "1.1.1.1"), "192.0.2.9");
  assert.equal(from(proxies, "2001:db8::5", "10.3.3.3, 10.2.0.1"), "10.3.3.3");
});

Deno.test("parseTrustedProxies refuses what is neither a number nor networks", () => {
  for (const text of ["", "-1", "33", "1.5", "proxy.example", "10.0.0.0/8,", "10.0.0.0/40"]) {
    assert.equal(parseTrustedProxies(text), undefined, text);
  }
});

Deno.test("addressReader warns once of a proxy that is not trusted", async () => {
  const warnings: string[] = [];
  await configure({
    sinks: { kept: ({ rawMessage }) => void warnings.push(String(rawMessage)) },
    loggers: [
      { category: ["lakesync"], sinks: ["kept"], lowestLevel: "warning" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
    reset: true,
  });
  try {
    const forwarded = new Headers({ "X-Forwarded-For": "192.0.2.1" });
    const cautious = addressReader(NO_PROXIES);
    for (const headers of [new Headers(), forwarded, forwarded]) {
      assert.equal(cautious("10.0.0.1", headers), "10.0.0.1");
    }
    assert.equal(addressReader(trusted("1"))("10.0.0.1", forwarded), "192.0.2.1");
    assert.equal(warnings.length, 1);
  } finally {
    await reset();
  }
});
