import { gcmsiv } from "@noble/ciphers/aes.js";
import fc from "fast-check";
import assert from "node:assert/strict";
import { GcmSiv } from "./siv.ts";

const NONCE = new Uint8Array(12);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const texts = fc.uint8Array({ maxLength: 100 });

Deno.test("GcmSiv encrypts as any AES-GCM-SIV with the nonce of zeros, and decrypts it", () => {
  fc.assert(fc.property(bytes(32), fc.array(fc.tuple(texts, texts)), (key, pairs) => {
    const siv = new GcmSiv(key);
    for (const [text, also] of pairs) {
      const sealed = siv.encrypt(text, also);
      assert.deepEqual(sealed, gcmsiv(key, NONCE, also).encrypt(text));
      assert.deepEqual(siv.decrypt(sealed, also), text);
    }
  }));
});

Deno.test("GcmSiv encrypts a long text as any AES-GCM-SIV", () => {
  const key = new Uint8Array(32).fill(7);
  const text = new Uint8Array(100_003).map((_, i) => i);
  const also = new Uint8Array(17).fill(3);
  assert.deepEqual(new GcmSiv(key).encrypt(text, also), gcmsiv(key, NONCE, also).encrypt(text));
});

Deno.test("GcmSiv decrypts nothing that was changed, cut or given with other bytes", () => {
  fc.assert(fc.property(bytes(32), texts, texts, fc.nat(), fc.integer({ min: 1, max: 255 }), (
    key,
    text,
    also,
    at,
    change,
  ) => {
    const siv = new GcmSiv(key);
    const sealed = siv.encrypt(text, also);
    const changed = sealed.map((byte, i) => i === at % sealed.length ? byte ^ change : byte);
    assert.equal(siv.decrypt(changed, also), undefined);
    assert.equal(siv.decrypt(sealed.subarray(1), also), undefined);
    assert.equal(siv.decrypt(sealed, new Uint8Array([...also, 0])), undefined);
    assert.equal(siv.decrypt(sealed.subarray(0, 15), also), undefined);
  }));
});
