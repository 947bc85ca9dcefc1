/**
 * The statements of a transaction.
 *
 * @module
 */

import { keyOf } from "@lakesync/core";
import type { DestinationKey } from "../adapter.ts";
import type {
  JudgedRow,
  Leftovers,
  NumberedChange,
  OldRows,
  SqlTransaction,
  StoredPosition,
  StoredProblem,
  TableLayout,
  TableRow,
} from "../database/backend.ts";
import type { Refusal } from "../database/bisect.ts";
import type { StoredRow } from "../database/images.ts";
import type { Reference } from "../database/references.ts";
import { forgetChanges, giveUpChanges, insertChanges } from "./changes.ts";
import { Holders, PostponedRows } from "./circles.ts";
import { chunksOf, keyChunks, writeChunks } from "./chunks.ts";
import type { Session } from "./client.ts";
import { isOwnReference, refusalOf } from "./errors.ts";
import { literalOf, text, textOrNull } from "./literals.ts";
import { KEPT_PROPS, POSITION, PROBLEMS, quoteName, STATE } from "./names.ts";
import { keyCondition, READ_POSITION, storedPosition, textOf } from "./reading.ts";
import * as rows from "./rows.ts";
import { tableStatements } from "./table_statements.ts";

/** A transaction on a session. */
export class MysqlTransaction implements SqlTransaction {
  readonly session: Session;
  #savepoints = 0;
  #generation = 0;
  #isDeferred = false;
  readonly #postponed = new PostponedRows();
  readonly #holders = new Holders();
  /** Which of LakeSync's own tables were found empty, and had nothing added since. */
  readonly #empty = new Map<string, boolean>();

  readonly #adder: Session;
  /** Changes that are being added, in several statements that nothing must come between. */
  #adding: Promise<void> = Promise.resolve();

  /** @param session where it runs */
  constructor(session: Session) {
    this.#adder = session;
    this.session = {
      facts: session.facts,
      run: async (statement) => {
        await this.#adding;
        return await session.run(statement);
      },
    };
  }

  async lockPosition(): Promise<StoredPosition> {
    const [row = []] = await this.session.run(`${READ_POSITION} FOR UPDATE`);
    const stored = storedPosition(row);
    this.#generation = stored.generation;
    return stored;
  }

  async putPosition({ position, generation, forgottenSeq }: StoredPosition): Promise<void> {
    await this.session.run(
      `UPDATE ${POSITION} SET position = ` +
        `${textOrNull(position === undefined ? null : JSON.stringify(position))}, ` +
        `generation = ${generation}, forgotten_seq = ${forgottenSeq}, ` +
        `moved_at = UTC_TIMESTAMP(3) WHERE only_row = 1`,
    );
  }

  async insertChanges(changes: readonly NumberedChange[]): Promise<void> {
    this.#adding = insertChanges(this.#adder, changes, this.#generation > 0);
    await this.#adding;
  }

  async giveUpChanges(afterSeq: number): Promise<void> {
    await giveUpChanges(this.session, afterSeq, this.#generation);
  }

  async forgetChanges(
    committedBeforeMs: number,
    throughSeq: number,
    limit: number,
  ): Promise<{ readonly seq: number; readonly isMore: boolean }> {
    return await forgetChanges(this.session, committedBeforeMs, throughSeq, limit);
  }

  async readRows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]> {
    return await rows.readRows(this.session, keys);
  }

  async readTable(
    table: number,
    afterRowId: string,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return await rows.readTable(this.session, table, afterRowId, limit);
  }

  prepareRows(_rows: readonly StoredRow[]): void {
    // Nothing to gain: rows are written in small statements, between which the next is made.
  }

  async putRows(judged: readonly JudgedRow[]): Promise<void> {
    await rows.putRows(this.session, judged);
    await this.putProblems(judged.map(({ key, problem }) => [key, problem]));
    const hidden = judged.filter(({ isVisible }) => !isVisible).map(({ key }) => key);
    if (hidden.length > 0) await this.#deleteFrom(KEPT_PROPS, hidden);
  }

  async deleteRows(keys: readonly DestinationKey[]): Promise<void> {
    await rows.deleteFrom(this.session, STATE, keys);
    await this.#deleteFrom(PROBLEMS, keys);
    await this.#deleteFrom(KEPT_PROPS, keys);
  }

  async oldRows(which: OldRows, limit: number): Promise<readonly StoredRow[]> {
    return await rows.oldRows(this.session, which, this.#generation, limit);
  }

  async leftovers(): Promise<Leftovers> {
    return await rows.leftovers(this.session);
  }

  async putProblems(
    problems: readonly (readonly [key: DestinationKey, problem: StoredProblem | undefined])[],
  ): Promise<void> {
    // Mostly there is none to take away, and none to note.
    const isAny = problems.some(([, problem]) => problem !== undefined);
    if (!isAny && await this.#isEmpty(PROBLEMS)) return;
    await rows.putProblems(this.session, problems);
    if (isAny) this.#empty.set(PROBLEMS, false);
  }

  async waitingFor(
    parents: readonly DestinationKey[],
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return await rows.waitingFor(this.session, parents, limit);
  }

  async attempt(run: () => Promise<void>): Promise<Refusal | undefined> {
    const name = `lakesync_${++this.#savepoints}`;
    await this.session.run(`SAVEPOINT ${name}`);
    try {
      await run();
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      await this.session.run(`ROLLBACK TO SAVEPOINT ${name}`);
      return refusal;
    }
    await this.session.run(`RELEASE SAVEPOINT ${name}`);
    return undefined;
  }

  deferReferences(): Promise<void> {
    this.#isDeferred = true;
    return Promise.resolve();
  }

  async checkReferences(): Promise<void> {
    this.#isDeferred = false;
    for (const [layout, rows] of this.#postponed.take()) await this.#write(layout, rows);
  }

  async upsert(layout: TableLayout, written: readonly TableRow[]): Promise<void> {
    await this.#write(layout, written, (row) => this.#postponed.add(layout, row));
  }

  async remove(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    const { name, among } = tableStatements(layout);
    this.#postponed.delete(layout.id, rowIds);
    for (const part of keyChunks(rowIds)) {
      const statement = `DELETE FROM ${name} WHERE ${among(part)}`;
      try {
        await this.session.run(statement);
      } catch (error) {
        if (!isOwnReference(error) || !await this.#letGo(layout, part)) throw error;
        await this.session.run(statement);
      }
    }
  }

  async missing(layout: TableLayout, rowIds: readonly string[]): Promise<readonly string[]> {
    const { name, keyNames, among, rowIdOf } = tableStatements(layout);
    const there = new Set<string>();
    for (const part of keyChunks(rowIds)) {
      const found = await this.session.run(
        `SELECT ${keyNames} FROM ${name} FORCE INDEX (PRIMARY) WHERE ${among(part)} ` +
          `LOCK IN SHARE MODE`,
      );
      for (const row of found) there.add(rowIdOf(row));
    }
    return rowIds.filter((rowId) => !there.has(rowId));
  }

  async children(
    { columnId, column }: Reference,
    child: TableLayout,
    parent: TableLayout,
    parentRowIds: readonly string[],
  ): Promise<readonly { readonly rowId: string; readonly parentRowId: string }[]> {
    const layout = child.columns.find(({ id }) => id === columnId);
    if (layout === undefined) return [];
    const { name, keyNames, rowIdOf } = tableStatements(child);
    const parents = tableStatements(parent);
    const literal = literalOf(layout.column.type, layout.native);
    const found = this.#postponed.children(child, columnId, parentRowIds);
    for (const part of keyChunks(parentRowIds)) {
      const list = part.flatMap((rowId) => {
        const key = keyOf(parent.table, rowId);
        const value = typeof key === "string" ? null : key[0] ?? null;
        return value === null ? [] : literal(value);
      });
      if (list.length === 0) continue;
      const children = await this.session.run(
        `SELECT ${keyNames}, ${quoteName(column)} FROM ${name} ` +
          `WHERE ${quoteName(column)} IN (${list.join(",")})`,
      );
      for (const row of children) {
        const rowId = rowIdOf(row);
        const parentRowId = parents.rowIdOf(row.slice(-1));
        found.push({ rowId, parentRowId });
        this.#holders.add(parent.id, parentRowId, { child, column, rowId });
      }
    }
    return found;
  }

  async keepProps(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    if (!layout.extras.has("props")) return;
    const { name, keyNames, among, rowIdOf } = tableStatements(layout);
    for (const part of keyChunks(rowIds)) {
      const found = await this.session.run(
        `SELECT ${keyNames}, CAST(props AS CHAR) FROM ${name} FORCE INDEX (PRIMARY) ` +
          `WHERE ${among(part)} AND props IS NOT NULL AND JSON_LENGTH(props) > 0`,
      );
      await writeChunks(
        this.session,
        `INSERT INTO ${KEPT_PROPS} (table_id, row_id, props) VALUES`,
        found,
        (row) => `(${layout.id},${text(rowIdOf(row))},${text(textOf(row.at(-1)))})`,
        "ON DUPLICATE KEY UPDATE props = VALUES(props)",
      );
      if (found.length > 0) this.#empty.set(KEPT_PROPS, false);
    }
  }

  async restoreProps(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    if (!layout.extras.has("props") || await this.#isEmpty(KEPT_PROPS)) return;
    const { name, among } = tableStatements(layout);
    for (const part of keyChunks(rowIds)) {
      const condition = keyCondition(KEPT_PROPS, layout.id, part);
      const found = await this.session.run(
        `SELECT row_id, props FROM ${KEPT_PROPS} FORCE INDEX (PRIMARY) WHERE ${condition}`,
      );
      for (const [rowId, props] of found) {
        await this.session.run(
          `UPDATE ${name} SET props = ${text(textOf(props))} WHERE ${among([textOf(rowId)])}`,
        );
      }
      if (found.length > 0) await this.session.run(`DELETE FROM ${KEPT_PROPS} WHERE ${condition}`);
    }
  }

  /**
   * Writes rows.
   *
   * @param withoutReferences gives a row without what it references, for those that come before
   * what they reference
   */
  async #write(
    layout: TableLayout,
    written: readonly TableRow[],
    withoutReferences?: (row: TableRow) => TableRow,
  ): Promise<void> {
    const { before, tuple, after } = tableStatements(layout);
    const { maxPacketBytes } = this.session.facts;
    for (const { text, items } of chunksOf(written, tuple, maxPacketBytes)) {
      try {
        await this.session.run(`${before} ${text} ${after}`);
      } catch (error) {
        if (!this.#isDeferred || withoutReferences === undefined || !isOwnReference(error)) {
          throw error;
        }
        await this.#write(layout, items.map(withoutReferences));
      }
    }
  }

  /** Lets rows that leave as well let go of some that leave; tells whether there were any. */
  async #letGo(layout: TableLayout, rowIds: readonly string[]): Promise<boolean> {
    const groups = this.#holders.take(layout.id, rowIds);
    for (const { child, column, rowIds } of groups) {
      const { name, among } = tableStatements(child);
      for (const part of keyChunks(rowIds)) {
        await this.session.run(
          `UPDATE ${name} SET ${quoteName(column)} = NULL WHERE ${among(part)}`,
        );
      }
    }
    return groups.length > 0;
  }

  async #isEmpty(own: string): Promise<boolean> {
    let empty = this.#empty.get(own);
    if (empty === undefined) {
      this.#empty.set(own, empty = await rows.isEmpty(this.session, own));
    }
    return empty;
  }

  async #deleteFrom(own: string, keys: readonly DestinationKey[]): Promise<void> {
    if (!await this.#isEmpty(own)) await rows.deleteFrom(this.session, own, keys);
  }
}
