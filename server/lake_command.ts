/**
 * `lakesync lake maintain`: one pass of what a gateway does for its lakes by itself.
 *
 * @module
 */

import {
  type Lake,
  maintain,
  mergeLake,
  type TableMaintenance,
} from "@lakesync/adapters/lake/maintain";
import { checkLake, openLakeParts, workable, workOf } from "./destinations/lake_open.ts";
import { LakeThreads } from "./destinations/lake_threads.ts";
import type { LakeSpec } from "./destinations/spec.ts";
import type { LakeMaintainConfig } from "./lake_arguments.ts";
import { type FolderLock, lockFolder } from "./store/lock.ts";

/** What was done. */
export interface MaintainResult {
  /** As lines to read. */
  readonly lines: readonly string[];
  /** Whether all of it was done. */
  readonly isDone: boolean;
}

/** A gateway that runs holds its data folder, and maintains its lakes itself. */
async function holdFolder(data: string): Promise<FolderLock | undefined> {
  try {
    await Deno.stat(data);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return await lockFolder(data);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** How many of something, where there are any. */
function counted(count: number, what: string): string | undefined {
  return count === 0 ? undefined : `${count} ${what}`;
}

function lineOf(lake: string, done: TableMaintenance): string {
  const { files, into, bytes } = done.compacted;
  const parts = [
    files === 0 ? undefined : `${files} files made ${into} of ${bytes} bytes`,
    counted(done.manifests, "manifests put together"),
    counted(done.snapshots, "snapshots removed"),
    counted(done.objects + done.metadata, "objects removed"),
    counted(done.orphans, "orphans removed"),
    done.failure === undefined ? undefined : `not finished: ${textOf(done.failure)}`,
  ].filter((part) => part !== undefined);
  return `${lake} ${done.table}: ${parts.length === 0 ? "nothing to do" : parts.join(", ")}`;
}

async function work(name: string, lake: Lake, spec: LakeSpec): Promise<MaintainResult> {
  const { maintenance } = workOf(spec);
  const lines: string[] = [];
  try {
    lines.push(`${name}: ${await mergeLake(lake)} changes merged into rows`);
    const { tables, failure } = await maintain(lake, maintenance);
    lines.push(...tables.map((table) => lineOf(name, table)));
    return { lines, isDone: failure === undefined };
  } catch (error) {
    return { lines: [...lines, `${name}: not finished: ${textOf(error)}`], isDone: false };
  }
}

async function maintainOne(name: string, spec: LakeSpec, gw: string): Promise<MaintainResult> {
  if (spec.flushFormat === "json") {
    return { lines: [`${name}: has no tables, so nothing to do`], isDone: true };
  }
  const parts = openLakeParts(spec, gw);
  const tools = new LakeThreads().lend();
  try {
    await checkLake(parts);
    return await work(name, workable(parts, tools), spec);
  } catch (error) {
    return { lines: [`${name}: not finished: ${textOf(error)}`], isDone: false };
  } finally {
    await tools.close();
    await parts.close();
  }
}

/**
 * Maintains lakes, one after the other. A gateway elsewhere may work on them at the same time: of two
 * commits to a table one is first, and the other is left for the next pass.
 *
 * @param config which
 * @returns what was done
 * @throws {StoreLockedError} when a gateway runs on the data folder
 */
export async function maintainLakes(
  { lakes, gw, data }: LakeMaintainConfig,
): Promise<MaintainResult> {
  const lock = await holdFolder(data);
  try {
    const results: MaintainResult[] = [];
    for (const [name, spec] of lakes) results.push(await maintainOne(name, spec, gw));
    return {
      lines: results.flatMap(({ lines }) => lines),
      isDone: results.every(({ isDone }) => isDone),
    };
  } finally {
    lock?.release();
  }
}
