import assert from "node:assert/strict";
import { at, delta, openFixture, push, START_MS, tx } from "./testing_fixture.ts";

Deno.test("G11: a push is committed after some turns that each bring another one", async () => {
  let nowMs = START_MS;
  let turns = 0;
  let more = false;
  const pushes: Promise<unknown>[] = [];
  const send = (n: number) =>
    push(fixture.gateway, `c${n}`, [tx(1, delta("INSERT", `r${n}`, at(n), { title: "a" }))]);
  const fixture = await openFixture(undefined, {
    now: () => nowMs,
    nextTurn: async () => {
      turns++;
      nowMs += 2;
      if (more && turns < 200) pushes.push(send(turns));
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  });
  await using _ = fixture;
  more = true;
  turns = 0;
  await send(1_000);
  assert.ok(turns < 10, `${turns} turns`);
  more = false;
  await Promise.all(pushes);
});
