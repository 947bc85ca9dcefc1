import assert from "node:assert/strict";
import {
  chainOf,
  deltaIdOf,
  forkedClientId,
  LakeSyncError,
  type Origin,
  type Transaction,
} from "@lakesync/core";
import { at, BOB, delta, type Fixture, openFixture, push } from "./testing_fixture.ts";

/** Transactions of a client, each of one row. */
function history(clientId: string, rowIds: readonly string[]): Transaction[] {
  let chain = "";
  return rowIds.map((rowId, i) => {
    const insert = delta("INSERT", rowId, at(i), { title: clientId });
    chain = chainOf(chain, [deltaIdOf(clientId, insert, at(i))]);
    return { mutationId: i + 1, deltas: [insert], chain };
  });
}

/** A client `phone` with a history, and what it is when it forks after some of it. */
function phone(rowIds: readonly string[], after: number) {
  const all = history("phone", rowIds);
  const next = all[after]?.chain ?? "";
  const origin: Origin = {
    clientId: "phone",
    mutationId: after,
    chain: all[after - 1]?.chain ?? "",
    next,
  };
  const name = forkedClientId("phone", next);
  return { all, name, origin, forked: history(name, rowIds.slice(after)) };
}

function refusal(lastMutationId: number, clientId?: string) {
  return (error: unknown) => {
    assert.ok(error instanceof LakeSyncError);
    assert.equal(error.code, "CLIENT_FORKED");
    assert.equal(error.details.lastMutationId, lastMutationId);
    assert.equal(error.details.clientId, clientId);
    return true;
  };
}

async function rowsOf({ gateway }: Fixture): Promise<number> {
  return (await gateway.stats()).tables["todos"]?.rows ?? 0;
}

Deno.test("G13: a forked name is taken only where the name before has what it goes on from", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const { all, name, origin, forked } = phone(["a", "b", "c"], 2);
  const take = () => push(gateway, name, forked, { origin });
  await assert.rejects(take(), refusal(0, "phone"));
  await push(gateway, "phone", all.slice(0, 1));
  await assert.rejects(take(), refusal(0, "phone"));
  await push(gateway, "phone", all.slice(0, 2));
  assert.equal((await take()).lastMutationId, 1);
  assert.equal(await rowsOf(fixture), 3);
});

Deno.test("G13: a forked name is not taken where the name before has another history", async () => {
  await using fixture = await openFixture();
  const { name, origin, forked } = phone(["a", "b", "c"], 2);
  await push(fixture.gateway, "phone", phone(["a", "x", "y"], 0).all);
  await assert.rejects(
    push(fixture.gateway, name, forked, { origin }),
    refusal(0, "phone"),
  );
});

Deno.test("G13: what is known under one name is not taken under another, whichever was first", async () => {
  for (const forkFirst of [true, false]) {
    await using fixture = await openFixture();
    const { gateway } = fixture;
    const { all, name, origin, forked } = phone(["a", "b", "c"], 1);
    await push(gateway, "phone", all.slice(0, 1));
    const ways = [
      () => push(gateway, name, forked, { origin }),
      () => push(gateway, "phone", all),
    ];
    const [first, second] = forkFirst ? ways : ways.reverse();
    await first?.();
    await assert.rejects(second?.() ?? Promise.resolve(), (error) => {
      return refusal(forkFirst ? 1 : 0, forkFirst ? undefined : "phone")(error);
    });
    assert.equal(await rowsOf(fixture), 3);
    await first?.();
    assert.equal(await rowsOf(fixture), 3);
  }
});

Deno.test("G13: a fork from the very first transaction is known to a name that never pushed", async () => {
  await using fixture = await openFixture();
  const { all, name, origin, forked } = phone(["a", "b"], 0);
  await push(fixture.gateway, name, forked, { origin });
  await assert.rejects(push(fixture.gateway, "phone", all), refusal(0));
  assert.equal(await rowsOf(fixture), 2);
});

Deno.test("G13: a client that forked is told by which links it finds where", async () => {
  await using fixture = await openFixture();
  const { all } = phone(["a", "b", "c"], 0);
  await push(fixture.gateway, "phone", all);
  const other = phone(["a", "x", "c"], 0).all;
  await assert.rejects(push(fixture.gateway, "phone", other.slice(2)), (error) => {
    assert.ok(error instanceof LakeSyncError);
    assert.deepEqual(
      error.details.links,
      all.map(({ mutationId, chain = "" }) => ({ mutationId, hash: chain.slice(0, 16) })),
    );
    return true;
  });
});

Deno.test("an origin that does not lead to the name, or is another user's, is refused", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const { all, name, origin, forked } = phone(["a", "b"], 1);
  await push(gateway, "phone", all.slice(0, 1), {}, BOB);
  const code = (code: string) => (error: unknown) =>
    error instanceof LakeSyncError && error.code === code;
  await assert.rejects(
    push(gateway, name, forked, { origin: { ...origin, clientId: "other" } }),
    code("VALIDATION_ERROR"),
  );
  await assert.rejects(push(gateway, name, forked, { origin }), code("CLIENT_NOT_YOURS"));
});
