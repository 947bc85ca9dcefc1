import assert from "node:assert/strict";
import { Agreement } from "./agreement.ts";

/** Two devices of which tests decide whether they have settled, and when they answer. */
class Looked {
  nowMs = 0;
  heads = "e 1";
  early = false;
  readonly unsettled: Set<string> = new Set();
  /** What b's answer waits for. */
  late: Promise<void> = Promise.resolve();
  readonly agreement: Agreement<string> = new Agreement({
    nowMs: () => this.nowMs,
    heads: () => Promise.resolve(this.heads),
    devices: () => this.early ? undefined : ["a", "b"],
    isSettled: async (device) => {
      if (device === "b") await this.late;
      return !this.unsettled.has(device);
    },
  });

  async lookAt(ms: number): Promise<void> {
    this.nowMs = ms;
    await this.agreement.look();
  }

  /** Begins a look in which b does not answer until what is given is called. */
  async lookSlowlyAt(ms: number): Promise<() => Promise<void>> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.late = promise;
    const looked = this.lookAt(ms);
    for (let i = 0; i < 10; i++) await Promise.resolve();
    return async () => {
      resolve();
      await looked;
    };
  }
}

Deno.test("Agreement lasts from the first look in which all have settled", async () => {
  const looked = new Looked();
  looked.unsettled.add("b");
  await looked.lookAt(1);
  assert.equal(looked.agreement.sinceMs, undefined);
  assert.deepEqual([...looked.agreement.settledMs], [["a", 1]]);
  looked.unsettled.clear();
  await looked.lookAt(2);
  await looked.lookAt(3);
  assert.equal(looked.agreement.sinceMs, 2);
  assert.deepEqual([...looked.agreement.settledMs], [["a", 1], ["b", 2]]);
});

Deno.test("Agreement ends with a device that has not settled before the look is over", async () => {
  const looked = new Looked();
  await looked.lookAt(1);
  looked.unsettled.add("a");
  const goOn = await looked.lookSlowlyAt(2);
  assert.equal(looked.agreement.settledMs.has("a"), false);
  assert.equal(looked.agreement.sinceMs, undefined);
  await goOn();
  assert.equal(looked.agreement.sinceMs, undefined);
  looked.unsettled.clear();
  await looked.lookAt(3);
  assert.equal(looked.agreement.sinceMs, 3);
});

Deno.test("Agreement ends with another state of the gateways before the look is over", async () => {
  const looked = new Looked();
  await looked.lookAt(1);
  looked.heads = "e 2";
  const goOn = await looked.lookSlowlyAt(2);
  assert.equal(looked.agreement.sinceMs, undefined);
  await goOn();
  assert.equal(looked.agreement.sinceMs, 2);
});

Deno.test("Agreement is about no state that changes during the look, nor an unknown one", async () => {
  const looked = new Looked();
  const goOn = await looked.lookSlowlyAt(1);
  looked.heads = "e 2";
  await goOn();
  assert.equal(looked.agreement.sinceMs, undefined);
  looked.heads = "";
  await looked.lookAt(2);
  assert.equal(looked.agreement.sinceMs, undefined);
});

Deno.test("Agreement is not reached while it is too early to ask", async () => {
  const looked = new Looked();
  looked.early = true;
  await looked.lookAt(1);
  assert.equal(looked.agreement.sinceMs, undefined);
  assert.equal(looked.agreement.settledMs.size, 0);
});
