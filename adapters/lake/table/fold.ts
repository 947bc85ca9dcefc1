/**
 * Folds changes into one final image for each row. An image does not hold values, only where they
 * are: in a row of what was read, or in the row as it was before. So values go from file to file as
 * buffers. Pure.
 *
 * @module
 */

/** A cell that has no value. */
export const NOTHING = -1;

/** A cell that is as it was before. */
export const BEFORE = -2;

/** The images of the rows that were touched, each by a number from 0. */
export class RowImages {
  readonly #columns: number;
  readonly #byId = new Map<string, number>();
  #cells: Int32Array;
  #visible: Uint8Array;

  /**
   * Makes an empty set of images.
   *
   * @param columns how many columns a row has, the key's left out
   */
  constructor(columns: number) {
    this.#columns = columns;
    this.#cells = new Int32Array(64 * columns);
    this.#visible = new Uint8Array(64);
  }

  /** How many rows there are. */
  get size(): number {
    return this.#byId.size;
  }

  /** The ids of the rows, in the order of their numbers. */
  get rowIds(): readonly string[] {
    return [...this.#byId.keys()];
  }

  /** The number of a row; undefined when nothing touched it. */
  find(rowId: string): number | undefined {
    return this.#byId.get(rowId);
  }

  /**
   * Begins an effect on a row.
   *
   * @param rowId the row
   * @param isVisible whether readers see it from then on
   * @param replaces whether it has only the cells that are put next; else it keeps all others
   * @returns the row's number
   */
  touch(rowId: string, isVisible: boolean, replaces: boolean): number {
    const row = this.#numberOf(rowId);
    this.#visible[row] = isVisible ? 1 : 0;
    if (replaces) {
      const at = row * this.#columns;
      this.#cells.fill(NOTHING, at, at + this.#columns);
    }
    return row;
  }

  /**
   * Puts a cell.
   *
   * @param row the row's number
   * @param column the column's place
   * @param source where the value is: 0 or more, or {@linkcode NOTHING}
   */
  put(row: number, column: number, source: number): void {
    this.#cells[row * this.#columns + column] = source;
  }

  /** Where a cell's value is. */
  cell(row: number, column: number): number {
    return this.#cells[row * this.#columns + column] ?? BEFORE;
  }

  /** Whether readers see a row. */
  isVisible(row: number): boolean {
    return this.#visible[row] === 1;
  }

  /** Whether it matters how a row was before. */
  needsBefore(row: number): boolean {
    return this.#some(row, (source) => source === BEFORE);
  }

  /** Whether a row has a value, without those that it had before. */
  hasValues(row: number): boolean {
    return this.#some(row, (source) => source >= 0);
  }

  #some(row: number, is: (source: number) => boolean): boolean {
    const at = row * this.#columns;
    for (let i = at; i < at + this.#columns; i++) if (is(this.#cells[i] ?? BEFORE)) return true;
    return false;
  }

  #numberOf(rowId: string): number {
    const known = this.#byId.get(rowId);
    if (known !== undefined) return known;
    const row = this.#byId.size;
    this.#byId.set(rowId, row);
    if (row === this.#visible.length) {
      this.#visible = grown(this.#visible, new Uint8Array(row * 2));
      this.#cells = grown(this.#cells, new Int32Array(row * 2 * this.#columns));
    }
    const at = row * this.#columns;
    this.#cells.fill(BEFORE, at, at + this.#columns);
    return row;
  }
}

function grown<T extends Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
