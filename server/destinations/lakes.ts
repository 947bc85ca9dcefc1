/**
 * The lakes that gateways flush to at this moment, for those that look into them: the catalog that
 * engines ask, status and metrics.
 *
 * @module
 */

import type { Catalog, LoadedTable } from "@lakesync/adapters/lake/catalog";
import type { FlushEnvironment } from "@lakesync/adapters/flush";
import type { LakeStatus } from "@lakesync/adapters/lake/maintain";
import type { RowSource } from "../gateway/checkpoint_rows.ts";

/** A lake that a gateway flushes to. */
export interface OpenLake {
  /** The destination's name in the configuration, with its place in it where that is composed. */
  readonly name: string;
  /** The gateway whose changes it gets. */
  readonly gatewayId: string;
  /** What the gateway's tables are under in the catalog. */
  readonly namespace: string;
  /** Knows its tables. */
  readonly catalog: Pick<Catalog, "list" | "load">;
  /** What an engine must know to read the files, in the catalog's words; no secrets. */
  readonly reading: Readonly<Record<string, string>>;
  /** How far its tables of rows are, and what its tables have. */
  readonly status: () => LakeStatus;
  /** Writes metadata as JSON. */
  readonly write: (metadata: LoadedTable["metadata"]) => string;
  /** Its rows, where checkpoints are to be made of them. */
  readonly rows?: RowSource;
}

/** The lakes that are open. */
export class Lakes {
  readonly #lakes = new Set<OpenLake>();

  /**
   * Shows a lake.
   *
   * @param lake the lake
   * @returns takes it away again
   */
  add(lake: OpenLake): () => void {
    this.#lakes.add(lake);
    return () => void this.#lakes.delete(lake);
  }

  /** All of them. */
  all(): readonly OpenLake[] {
    return [...this.#lakes];
  }

  /** Where the rows of a gateway are that checkpoints are to be made of. */
  rowsOf(gatewayId: string): RowSource | undefined {
    for (const lake of this.#lakes) {
      if (lake.gatewayId === gatewayId && lake.rows !== undefined) return lake.rows;
    }
    return undefined;
  }
}

/** What a server has for its lakes. */
export interface Serving {
  /** Time and chance, to keep them in shape. */
  readonly env: FlushEnvironment;
  /** Shows them while they are open. */
  readonly lakes: Lakes;
}
