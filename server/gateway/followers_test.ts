import fc from "fast-check";
import assert from "node:assert/strict";
import { type Follower, Followers } from "./followers.ts";

const BUCKETS = Array.from({ length: 150 }, (_, i) => `b${i}`);
const CLIENTS = ["x", "y", "z"];
const buckets = fc.uniqueArray(fc.constantFrom(...BUCKETS), { maxLength: 150 });

type Step =
  | { readonly do: "follow"; readonly client: string }
  | { readonly do: "await"; readonly at: number; readonly buckets: readonly string[] | undefined }
  | { readonly do: "stop"; readonly at: number }
  | {
    readonly do: "commit";
    readonly buckets: readonly string[];
    readonly clients: readonly string[];
    readonly everything: boolean;
  };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("follow"), client: fc.constantFrom(...CLIENTS) }),
  fc.record({
    do: fc.constant("await"),
    at: fc.nat(9),
    buckets: fc.option(buckets, { nil: undefined }),
  }),
  fc.record({ do: fc.constant("stop"), at: fc.nat(9) }),
  fc.record({
    do: fc.constant("commit"),
    buckets: fc.uniqueArray(fc.constantFrom(...BUCKETS), { maxLength: 3 }),
    clients: fc.uniqueArray(fc.constantFrom(...CLIENTS), { maxLength: 1 }),
    everything: fc.boolean(),
  }),
);

interface Known {
  readonly client: string;
  readonly follower: Follower;
  watched: ReadonlySet<string> | undefined;
  told: number;
  stopped: boolean;
}

Deno.test("Followers tells those whom asking each would tell, once", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const followers = new Followers();
    const all: Known[] = [];
    for (const step of steps) {
      if (step.do === "follow") {
        const known: Known = {
          client: step.client,
          follower: followers.follow(step.client, () => known.told++),
          watched: undefined,
          told: 0,
          stopped: false,
        };
        all.push(known);
        continue;
      }
      if (step.do === "commit") {
        const changed = new Set(step.buckets);
        const { everything } = step;
        const clientIds = new Set(step.clients);
        const expected = all.map(({ client, watched, told, stopped }) =>
          told + Number(
            !stopped && (everything || watched === undefined || clientIds.has(client) ||
              !watched.isDisjointFrom(changed)),
          )
        );
        followers.tell({ seq: 1, buckets: changed, clientIds, everything });
        assert.deepEqual(all.map(({ told }) => told), expected);
        continue;
      }
      const known = all[step.at];
      if (known === undefined) continue;
      if (step.do === "stop") {
        known.follower.stop();
        known.stopped = true;
      } else {
        const watched = step.buckets && new Set(step.buckets);
        known.follower.awaits(watched);
        known.watched = watched;
      }
    }
    assert.equal(followers.size, all.filter(({ stopped }) => !stopped).length);
  }));
});

Deno.test("Followers lets those who are told say anew what they wait for, and end", () => {
  const followers = new Followers();
  const told: string[] = [];
  const first = followers.follow("a", () => {
    told.push("a");
    second.stop();
    first.awaits(undefined);
  });
  const second = followers.follow("b", () => told.push("b"));
  first.awaits(new Set(["x"]));
  second.awaits(new Set(["x"]));
  const commit = { seq: 1, buckets: new Set(["x"]), clientIds: new Set<string>() };
  followers.tell(commit);
  assert.ok(told.includes("a"));
  told.length = 0;
  followers.tell({ ...commit, buckets: new Set(["y"]) });
  assert.deepEqual(told, ["a"]);
});
