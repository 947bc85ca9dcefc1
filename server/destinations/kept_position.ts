/**
 * Where a destination stands, kept with the gateway's data as a cursor: for people, while the
 * destination cannot be asked. Nothing goes by it: where a destination stands is what it says
 * itself ([ADR 10](../../docs/adr/0010-flush.md)).
 *
 * @module
 */

import type { Destination, FlushPosition } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import type { CursorStore } from "../gateway/cursors.ts";

/** The name of the cursor of a destination. */
export function cursorOf(destination: string): string {
  return `destination:${destination}`;
}

/** A position as a cursor has it. */
export function positionText({ seq, slice, lives, filled }: FlushPosition): string {
  const life = lives.at(-1)?.id;
  return JSON.stringify({
    seq: String(seq),
    ...(slice === undefined ? {} : { slice }),
    ...(life === undefined ? {} : { life }),
    ...(filled === undefined ? {} : { filling: true }),
  });
}

/** What keeping a position needs. */
export interface KeptPositionOptions {
  /** Where it is kept. */
  readonly cursors: Pick<CursorStore, "saveCursor">;
  /** The name of its cursor. */
  readonly name: string;
  /** Told of failures; the next position is kept all the same. */
  readonly onError?: ((what: string, error: unknown) => void) | undefined;
}

/** Keeps one position; while one is being saved only the newest of those that come waits. */
export class KeptPosition {
  readonly #options: KeptPositionOptions;
  #saved: string | undefined;
  #next: string | undefined;
  #saving: Promise<void> | undefined;

  /** @param options where, and under which name */
  constructor(options: KeptPositionOptions) {
    this.#options = options;
  }

  /** Keeps a position, soon. */
  keep(position: FlushPosition): void {
    const text = positionText(position);
    if (text === (this.#next ?? this.#saved)) return;
    this.#next = text;
    this.#saving ??= this.#run().finally(() => this.#saving = undefined);
  }

  /** Forgets what was kept, so that the next position is kept whatever it is. */
  forget(): void {
    this.#saved = undefined;
  }

  /** Waits until what was to be kept is. */
  async done(): Promise<void> {
    await this.#saving;
  }

  async #run(): Promise<void> {
    const { cursors, name, onError } = this.#options;
    for (let text = this.#next; text !== undefined; text = this.#next) {
      this.#next = undefined;
      this.#saved = text;
      try {
        await cursors.saveCursor(name, text);
      } catch (error) {
        this.#saved = undefined;
        if (error instanceof LakeSyncError && error.code === "DRAINING") return;
        onError?.(`The position of ${name} could not be kept`, error);
      }
    }
  }
}

/**
 * A destination whose position is kept whenever it has moved.
 *
 * @param destination the destination
 * @param kept where its position is kept
 */
export function keeping(destination: Destination, kept: KeptPosition): Destination {
  const moved = async (to: FlushPosition, move: Promise<void>) => {
    await move;
    kept.keep(to);
  };
  const { flushSettings } = destination;
  return {
    name: destination.name,
    ...(flushSettings === undefined ? {} : { flushSettings }),
    async position() {
      const position = await destination.position();
      if (position !== undefined) kept.keep(position);
      return position;
    },
    ensureSchema: (schema) => destination.ensureSchema(schema),
    insertDeltas: (batch) => moved(batch.to, destination.insertDeltas(batch)),
    rewind: (move) => moved(move.to, destination.rewind(move)),
    unsettled: (limit) => destination.unsettled(limit),
    refill: (move) => moved(move.to, destination.refill(move)),
    forgottenSeq: () => destination.forgottenSeq?.() ?? Promise.resolve(0),
    abandon: async () => await destination.abandon?.(),
    close: () => destination.close(),
  };
}
