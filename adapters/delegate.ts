/**
 * An adapter that hands everything to another one, for those that change only some of it.
 *
 * @module
 */

import type {
  Capabilities,
  DatabaseAdapter,
  DeltaPage,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Forget,
  LatestState,
  Move,
  Place,
  RowProblem,
} from "./adapter.ts";
import type { FlushSettings } from "./flush/settings.ts";
import type { FlushStatus } from "./flush/status.ts";

/** Does what another adapter does. */
export class DelegateAdapter implements DatabaseAdapter {
  readonly name: string;
  /** The other one. */
  protected readonly inner: DatabaseAdapter;

  /**
   * Stands before another adapter.
   *
   * @param name its name, for status and log
   * @param inner the other one
   */
  constructor(name: string, inner: DatabaseAdapter) {
    this.name = name;
    this.inner = inner;
  }

  get followers(): readonly FlushStatus[] {
    return this.inner.followers ?? [];
  }

  get capabilities(): Capabilities {
    return this.inner.capabilities;
  }

  get flushSettings(): Partial<FlushSettings> {
    return this.inner.flushSettings ?? {};
  }

  position(): Promise<FlushPosition | undefined> {
    return this.inner.position();
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return this.inner.ensureSchema(schema);
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.inner.insertDeltas(batch);
  }

  rewind(move: Move): Promise<void> {
    return this.inner.rewind(move);
  }

  refill(move: Move): Promise<void> {
    return this.inner.refill(move);
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return this.inner.unsettled(limit);
  }

  schema(): Promise<DestinationSchema | undefined> {
    return this.inner.schema();
  }

  queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    return this.inner.queryDeltasSince(after, limit);
  }

  getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    return this.inner.getLatestState(keys);
  }

  scanState(after: DestinationKey | undefined, limit: number): Promise<readonly LatestState[]> {
    return this.inner.scanState(after, limit);
  }

  forget(what: Forget): Promise<boolean> {
    return this.inner.forget(what);
  }

  forgottenSeq(): Promise<number> {
    return this.inner.forgottenSeq();
  }

  problems(limit: number): Promise<readonly RowProblem[]> {
    return this.inner.problems(limit);
  }

  async abandon(): Promise<void> {
    await this.inner.abandon?.();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
