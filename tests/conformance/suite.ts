/**
 * The conformance suite: what every database adapter does, whatever is behind it and of however many
 * it is composed. Cases ask what an adapter can do by its capabilities only.
 *
 * @module
 */

import type { Capabilities, DatabaseAdapter } from "@lakesync/adapters";
import { BATCHES } from "./adapter_batches.ts";
import { FORGET } from "./adapter_forget.ts";
import { POSITION } from "./adapter_position.ts";
import { PROBLEMS } from "./adapter_problems.ts";
import { playAgainstMemory } from "./adapter_property.ts";
import { READS } from "./adapter_reads.ts";
import { REWIND } from "./adapter_rewind.ts";
import { SCHEMA } from "./adapter_schema.ts";
import { VALUES } from "./adapter_values.ts";

/** An adapter under test, over an empty database. */
export interface Subject {
  /** The adapter. */
  readonly adapter: DatabaseAdapter;
  /** Ends it and opens another over the same data; that one is closed by `close` too. */
  readonly reopen?: () => Promise<DatabaseAdapter>;
  /** Ends it and removes the data. */
  close(): Promise<void>;
}

/** One thing that an adapter does. */
export interface Case {
  /** What it does: "rewinds to before a commit". */
  readonly name: string;
  /** What an adapter must be able to do for it; nothing unless given. */
  readonly needs?: keyof Capabilities;
  /** Tries it. */
  run(subject: Subject): Promise<void>;
}

const CASES: readonly Case[] = [
  ...POSITION,
  ...SCHEMA,
  ...BATCHES,
  ...VALUES,
  ...READS,
  ...REWIND,
  ...FORGET,
  ...PROBLEMS,
];

/** How the suite is run. */
export interface ConformanceOptions {
  /** Whether what it needs is missing. */
  readonly ignore?: boolean;
  /** So many random lives are played; 100 unless given, 0 for one that is not the same at once. */
  readonly runs?: number;
}

/**
 * Registers the suite as tests.
 *
 * @param name what is tested
 * @param open opens an adapter over a new, empty database
 */
export function adapterConformance(
  name: string,
  open: () => Promise<Subject>,
  { ignore = false, runs = 100 }: ConformanceOptions = {},
): void {
  for (const each of CASES) {
    Deno.test({
      name: `${name}: ${each.name}`,
      ignore,
      fn: async () => {
        const subject = await open();
        try {
          const can = each.needs === undefined || subject.adapter.capabilities[each.needs];
          if (can) await each.run(subject);
        } finally {
          await subject.close();
        }
      },
    });
  }
  Deno.test({
    name: `${name}: holds what the adapter in memory holds, whatever is sent`,
    ignore: ignore || runs === 0,
    fn: () => playAgainstMemory(open, runs),
  });
}
