import assert from "node:assert/strict";
import { Turns } from "./turns.ts";

Deno.test("Turns lets others go on between two pieces of work, in the order they came", async () => {
  const turns = new Turns();
  const order: string[] = [];
  const other = async () => {
    while (order.filter((what) => what.startsWith("work")).length < 5) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      order.push("other");
    }
  };
  const works = Array.from({ length: 5 }, async (_, n) => {
    await turns.next();
    order.push(`work ${n}`);
  });
  await Promise.all([...works, other()]);
  const found = order.filter((what) => what !== "other");
  assert.deepEqual(found, ["work 0", "work 1", "work 2", "work 3", "work 4"]);
  for (let n = 1; n < 5; n++) {
    const between = order.slice(order.indexOf(`work ${n - 1}`), order.indexOf(`work ${n}`));
    assert.ok(between.includes("other"), order.join());
  }
});
