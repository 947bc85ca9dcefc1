import assert from "node:assert/strict";
import { at, BOB, delta, openFixture, push, TODOS, tx } from "./testing_fixture.ts";

for (const rows of [1, 3_000]) {
  Deno.test(`G8: a push of ${rows} rows from before the schema is not let into a gateway without rules`, async () => {
    await using fixture = await openFixture(undefined, { openAccess: false });
    const gateway = await fixture.gateways.create("fresh");
    const put = gateway.putSchema(TODOS);
    const deltas = Array.from(
      { length: rows },
      (_, i) => delta("INSERT", `t${i}`, at(i), { title: "evil" }),
    );
    await assert.rejects(push(gateway, "phone", [tx(1, ...deltas)], {}, BOB), {
      code: "FORBIDDEN",
    });
    await put;
    assert.equal((await gateway.stats()).tables["todos"]?.rows, 0);
  });
}
