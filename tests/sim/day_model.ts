/**
 * What everybody is to hold on a simulated day. Each key has one device that inserts and deletes it,
 * so the rows that are there follow from what the devices committed, in whatever order it arrives.
 *
 * @module
 */

/** A row that is there. */
export interface DayRow {
  readonly list: string;
  /** The column that only the row's own device writes. */
  readonly a: string;
}

/** What is expected. */
export class DayModel {
  /** Rows that are there, by key. */
  readonly rows: Map<string, DayRow> = new Map();
  /** Keys whose rows are deleted now. */
  readonly deleted: Set<string> = new Set();
  /** By list the sum of all increments. */
  readonly sums: Map<string, number> = new Map();
  /** By list the elements of its set. */
  readonly elements: Map<string, Set<string>> = new Map();
  /** Deletions so far, those of one key each. */
  deletions = 0;
  /** Transactions that were committed on devices. */
  transactions = 0;
  /** Transactions that were refused. */
  refused = 0;

  /** A list was made. */
  addList(list: string): void {
    this.sums.set(list, 0);
    this.elements.set(list, new Set());
  }

  /** A row was inserted, or changed by its own device. */
  put(key: string, row: DayRow): void {
    this.rows.set(key, row);
    this.deleted.delete(key);
  }

  /** A row was deleted. */
  remove(key: string): void {
    this.rows.delete(key);
    this.deleted.add(key);
    this.deletions++;
  }

  /** A counter was incremented. */
  increment(list: string, by: number): void {
    this.sums.set(list, (this.sums.get(list) ?? 0) + by);
  }

  /** An element was put into a set, or taken out. */
  toggle(list: string, element: string): void {
    const elements = this.elements.get(list);
    if (elements?.delete(element) === false) elements.add(element);
  }

  /**
   * Says how what a device holds differs.
   *
   * @param lists the lists it sees
   * @param held its rows
   * @returns the first difference, or undefined when there is none
   */
  differs(lists: ReadonlySet<string>, held: Held): string | undefined {
    const expected = this.rows.entries().filter(([, { list }]) => lists.has(list)).toArray();
    const here = new Map(held.rows.map((row) => [row.id, row]));
    for (const [id, { list, a }] of expected) {
      const row = here.get(id);
      if (row === undefined) return `${id} is not there`;
      if (row.list !== list || row.a !== a) return `${id} has ${row.a} in place of ${a}`;
      here.delete(id);
    }
    for (const id of here.keys()) return `${id} is there`;
    for (const list of lists) {
      const sum = held.sums.get(list);
      if (sum !== this.sums.get(list)) {
        return `${list} counts ${sum} in place of ${this.sums.get(list)}`;
      }
      const elements = [...held.elements.get(list) ?? []].sort().join();
      const wanted = [...this.elements.get(list) ?? []].sort().join();
      if (elements !== wanted) return `${list} has ${elements} in place of ${wanted}`;
    }
    return held.sums.size > lists.size ? "there are more lists" : undefined;
  }
}

/** What a device holds. */
export interface Held {
  readonly rows: readonly HeldRow[];
  readonly sums: ReadonlyMap<string, number>;
  readonly elements: ReadonlyMap<string, readonly string[]>;
}

/** A row that a device holds. */
export interface HeldRow {
  readonly id: string;
  readonly list: string;
  readonly a: string;
  /** The column that everybody writes. */
  readonly b: string | null;
}
