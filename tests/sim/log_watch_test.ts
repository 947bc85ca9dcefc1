import assert from "node:assert/strict";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { at, delta, openFixture, push, tx } from "../../server/gateway/testing_fixture.ts";
import { Kernel } from "./kernel.ts";
import { LogWatch } from "./log_watch.ts";
import { Recorder } from "./recorder.ts";

const MEMBERS = {
  version: 1,
  tables: { members: { primaryKey: ["id"], columns: { id: "string" } } },
} as const;

Deno.test("LogWatch goes on when one of the servers on a database ended while it read", async () => {
  await using fixture = await openFixture();
  const gateway = await fixture.gateways.create("lists");
  await gateway.putSchema(MEMBERS);
  const recorder = new Recorder(new Kernel(1));
  const watch = new LogWatch(recorder);
  const told = () => recorder.events.map((event) => event.kind === "member" && event.user);
  const join = (user: string, ms: number) =>
    push(gateway, user, [tx(1, delta("INSERT", `l:${user}`, at(ms), {}, "members"))]);
  let isDead = false;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const dying = <T>(read: () => T): T => isDead ? new Promise(() => {}) as T : read();
  watch.follow(gateway as OpenGateway, dying, ended);
  watch.follow(gateway as OpenGateway, (read) => read(), new Promise(() => {}));
  await join("ann", 1);
  await watch.read;
  assert.deepEqual(told(), ["ann"]);
  isDead = true;
  await join("bob", 2);
  end();
  await join("cyd", 3);
  await watch.read;
  assert.deepEqual(told(), ["ann", "bob", "cyd"]);
});
