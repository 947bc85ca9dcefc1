/**
 * Runs that once broke a promise. What a seed plays changes with the code, so each line says what it
 * was, and under which settings it was seen often.
 *
 * @module
 */

import type { RunSettings } from "./run.ts";

/** A run that once broke a promise. */
export interface Regression extends Partial<Omit<RunSettings, "folder">> {
  readonly seed: number;
  /** What it was. */
  readonly what: string;
}

/** All of them, the oldest first. */
export const REGRESSIONS: readonly Regression[] = [
  {
    seed: 8,
    only: ["server's clock jumps", "no tokens are given", "client is killed"],
    what: "a server whose clock was wrong for a minute left devices in needs-token for good (G6)",
  },
  {
    seed: 34,
    only: ["server goes back to a backup", "nothing comes down", "sockets go silent"],
    what: "what a restored gateway had accepted but told no checkpoint of was not sent again (G13)",
  },
  {
    seed: 5004,
    only: ["server goes back to a backup"],
    what:
      "a refused transaction, given back empty, got another link: a gateway put back to a copy " +
      "that knew it took the client for a fork, whose older writes nobody gave back (G13)",
  },
  {
    seed: 1177,
    only: [
      "server goes back to a backup",
      "destinations fail",
      "server is killed",
      "server restarts in order",
      "requests are doubled",
    ],
    what:
      "what a restored gateway committed while a flusher asked where its destination stands was " +
      "taken for what the destination had of the lost history, and never arrived (G10)",
  },
  {
    seed: 4110,
    shared: 0,
    only: [
      "server goes back to a backup",
      "destinations fail",
      "server is killed",
      "server restarts in order",
      "requests are doubled",
    ],
    what:
      "a gateway restored again before a flush had caught up with the first restore left rows of " +
      "what was lost in its destinations (G10)",
  },
  {
    seed: 2,
    faults: 0,
    shared: 1,
    what: "servers on one database told their live connections of their own commits alone, and " +
      "resynced devices whose cursors another server had written (G4, G6)",
  },
  {
    seed: 1018,
    faults: 3,
    shared: 1,
    what:
      "a refusal moved no head, so that two servers on one database could both consume what a " +
      "device sent (G2)",
  },
  {
    seed: 3000,
    only: ["server's clock jumps", "server is killed", "destinations fail", "partition"],
    what: "a clock that was set back held the flush up for hours, which waited by it (G10)",
  },
  {
    seed: 18,
    only: ["server's clock jumps", "client's clock jumps", "server is killed", "partition"],
    what: "after a server's clock was ahead for a while its devices stayed in CLOCK_DRIFT (G6)",
  },
  {
    seed: 2038,
    only: ["server's clock jumps", "client's clock jumps", "server is killed", "partition"],
    what: "a token refused twice, with a page under way in between, held uploads for good (G6)",
  },
  {
    seed: 20066,
    what:
      "a gateway that went back to a backup served chunks of commits that it did not have yet, so " +
      "that a client kept a row for good (G7)",
  },
  {
    seed: 29,
    only: [
      "client's database is copied to another device",
      "client goes back to a copy",
      "server goes back to a backup",
      "client is killed",
      "connections break",
      "nothing comes down",
    ],
    what: "a copy that knew of a refusal sent it under another link than one that did not: what " +
      "both held was in the log under two names (G13)",
  },
  {
    seed: 60,
    only: [
      "client's database is copied to another device",
      "client goes back to a copy",
      "server goes back to a backup",
      "client is killed",
      "connections break",
      "nothing comes down",
    ],
    what:
      "a device that was put back took the answer to what was refused, and known to be, for an " +
      "acceptance (G2)",
  },
  {
    seed: 44,
    only: [
      "client's database is copied to another device",
      "client goes back to a copy",
      "server goes back to a backup",
      "client is killed",
      "connections break",
      "nothing comes down",
    ],
    what:
      "a checkpoint of another life, which counted a copy's transactions, took a device's own " +
      "out of its view (G13)",
  },
  {
    seed: 5103,
    what: "the gateway's time was told while the disk was full, and never stored: a device whose " +
      "clock was ahead stayed in CLOCK_DRIFT (G6)",
  },
  {
    seed: 7175,
    shared: 1,
    what:
      "a gateway that was put back, and then to a newer backup before it had committed, set rows " +
      "in its destinations from a state that was older than they stood (G10)",
  },
  {
    seed: 205,
    what:
      "copies of a database stamped anew what both had not sent, each for itself, and sent it " +
      "as two transactions (G13)",
  },
  {
    seed: 224,
    what:
      "a device whose transaction a copy had sent under an earlier stamp stamped what followed " +
      "after its own, hours ahead, and stayed in CLOCK_DRIFT (G6)",
  },
  {
    seed: 1732,
    what:
      "a device that was put back took the answer to what a restored gateway had refused for an " +
      "acceptance, since it had seen a later refusal (G2)",
  },
  {
    seed: 1001185,
    what: "no promise was broken: the run ended within a look that had found a device connecting " +
      "anew with another token, and took it for stuck (G6)",
  },
  {
    seed: 7001952,
    what: "a device waited for the end of a stream whose sender never heard that nobody listened " +
      "any more, and connected no more (G6)",
  },
  {
    seed: 50212,
    only: [
      "server is restored in a new epoch",
      "partition",
      "server is killed",
      "destinations fail",
      "client's database is copied to another device",
      "client goes back to a copy",
      "connections break",
      "nothing comes down",
      "server dies between two steps",
      "rules are edited",
    ],
    what:
      "no promise was broken: the run ended when a device had just connected, and had not heard " +
      "yet that it has to give back what a restored gateway lacks (G13)",
  },
];
