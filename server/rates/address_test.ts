import assert from "node:assert/strict";
import fc from "fast-check";
import { isIn, parseAddress, parseNetwork, rateKey } from "./address.ts";

Deno.test("parseAddress reads every form of an address", () => {
  assert.equal(parseAddress("192.0.2.1"), 0xffffc0000201n);
  assert.equal(parseAddress("::ffff:192.0.2.1"), 0xffffc0000201n);
  assert.equal(parseAddress("::"), 0n);
  assert.equal(parseAddress("::1%lo"), 1n);
  assert.equal(parseAddress("2001:DB8::8:800:200c:417a"), 0x20010db80000000000080800200c417an);
  assert.equal(parseAddress("1:2:3:4:5:6:7:8"), 0x00010002000300040005000600070008n);
});

Deno.test("parseAddress refuses what is no address", () => {
  const none = ["", "unknown", "1.2.3", "1.2.3.256", "1.2.3.4.5", ":", "1::2::3", "12345::"];
  none.push("1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8:9", "g::", "::1.2.3", "[::1]");
  for (const text of none) assert.equal(parseAddress(text), undefined, text);
});

Deno.test("parseAddress reads back what URL writes of any address", () => {
  fc.assert(fc.property(fc.ipV6(), (text) => {
    const written = new URL(`http://[${text}]/`).hostname.slice(1, -1);
    assert.ok(parseAddress(text) !== undefined);
    assert.equal(parseAddress(text), parseAddress(written));
  }));
});

Deno.test("a network holds the addresses that begin like it", () => {
  const within = (address: string, text: string) => {
    const [number, network] = [parseAddress(address), parseNetwork(text)];
    assert.ok(number !== undefined && network !== undefined);
    return isIn(number, network);
  };
  assert.equal(within("10.1.2.3", "10.0.0.0/8"), true);
  assert.equal(within("::ffff:10.1.2.3", "10.0.0.0/8"), true);
  assert.equal(within("11.1.2.3", "10.0.0.0/8"), false);
  assert.equal(within("192.0.2.1", "192.0.2.1"), true);
  assert.equal(within("2001:db8:1::5", "2001:db8:1::/48"), true);
  assert.equal(within("2001:db8:2::5", "2001:db8:1::/48"), false);
  assert.equal(within("8.8.8.8", "0.0.0.0/0"), true);
  assert.equal(within("2001:db8::1", "0.0.0.0/0"), false);
  for (const none of ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "a/8"]) {
    assert.equal(parseNetwork(none), undefined, none);
  }
});

Deno.test("rateKey is one for the addresses of a subscriber", () => {
  assert.equal(rateKey("192.0.2.1"), "192.0.2.1");
  assert.equal(rateKey("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(rateKey("2001:db8:1:2::5"), rateKey("2001:db8:1:2:ffff::9"));
  assert.notEqual(rateKey("2001:db8:1:2::5"), rateKey("2001:db8:1:3::5"));
});
