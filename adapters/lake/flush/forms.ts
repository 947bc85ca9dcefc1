/**
 * What changes of one table share, looked up once: where its columns are and how their values are
 * judged, and for changes that write the same columns what those are called and numbered.
 *
 * @module
 */

import { valueCheck } from "@lakesync/core";
import type { Value, ValueCheck } from "@lakesync/core";
import type { ChangesLayout, LayoutColumn } from "./changes.ts";
import { canonicalValue } from "./values.ts";

/** How many forms of one table are remembered. */
const MAX_FORMS = 1_000;

/** What changes that write the same columns share. */
export interface Form {
  /** The columns by the names their writer knows. */
  readonly names: readonly string[];
  /** Their numbers; undefined where nobody knows one. */
  readonly numbers: readonly (number | undefined)[];
  /** Their places in the layout; -1 where it does not have one. */
  readonly places: readonly number[];
  /** Which of them are cells: those with a number that are no part of the key. */
  readonly cells: readonly number[];
  /** The names as JSON. */
  readonly changed: string;
  /** Whether the names tell the numbers. */
  readonly isTold: boolean;
}

/** What is known of a table's layout. */
export class Forms {
  /** The places of the key's columns, in the order of the rowId; undefined without a newest form. */
  readonly keyPlaces: readonly number[] | undefined;
  readonly #layout: ChangesLayout;
  readonly #places: ReadonlyMap<number, number>;
  readonly #readers: readonly ((value: Value) => Value | undefined)[];
  readonly #forms = new Map<string, Form>();
  #last: { readonly form: Form; readonly ids: readonly number[] | undefined } | undefined;

  /** @param layout the table */
  constructor(layout: ChangesLayout) {
    this.#layout = layout;
    // Of several columns with one number the first counts.
    const places = new Map<number, number>();
    for (const [i, { number }] of layout.columns.entries()) {
      if (!places.has(number)) places.set(number, i);
    }
    this.#places = places;
    this.#readers = layout.columns.map(readerOf);
    this.keyPlaces = layout.newest?.primaryKey.map(({ name }) =>
      layout.columns.findIndex((column) => column.isKey && column.name === name)
    );
  }

  /**
   * What a column of the layout has of a value; undefined when it is no value of the column.
   *
   * @param place the column's place
   * @param value a value that is not null
   */
  read(place: number, value: Value): Value | undefined {
    return this.#readers[place]?.(value);
  }

  /**
   * The form of a change of the newest schema, or of one that tells the numbers.
   *
   * @param names what it writes
   * @param ids the numbers of those columns, where they are known
   * @param isNewest whether the names are those of the newest schema
   */
  of(names: readonly string[], ids: readonly number[] | undefined, isNewest: boolean): Form {
    const last = this.#last;
    if (last !== undefined && isNewest && sameItems(last.ids, ids)) {
      if (sameItems(last.form.names, names)) return last.form;
    }
    const id = JSON.stringify([names, ids ?? isNewest]);
    let form = this.#forms.get(id);
    if (form === undefined) {
      if (this.#forms.size >= MAX_FORMS) this.#forms.clear();
      this.#forms.set(id, form = this.#make(names, ids, isNewest));
    }
    if (isNewest) this.#last = { form, ids };
    return form;
  }

  /**
   * The form of columns whose numbers are known.
   *
   * @param names what they are called
   * @param numbers their numbers
   */
  #make(names: readonly string[], ids: readonly number[] | undefined, isNewest: boolean): Form {
    const { columns, names: told } = this.#layout;
    const numbers = names.map((name, i) =>
      ids?.[i] ?? (isNewest ? this.#numberNow(name) : undefined)
    );
    const places = numbers.map((number) =>
      number === undefined ? -1 : this.#places.get(number) ?? -1
    );
    const isKey = new Set(columns.flatMap(({ number, isKey }) => isKey ? [number] : []));
    return {
      names,
      numbers,
      places,
      cells: numbers.flatMap((number, i) => number === undefined || isKey.has(number) ? [] : [i]),
      changed: JSON.stringify(names),
      isTold: names.every((name, i) => {
        const number = numbers[i];
        return number === told.get(name) || (number !== undefined && name === `#${number}`);
      }),
    };
  }

  #numberNow(name: string): number | undefined {
    const { newest, columns } = this.#layout;
    if (newest?.byName.has(name) !== true) return undefined;
    return columns.find((column) => column.name === name)?.number;
  }
}

const known = new WeakMap<ChangesLayout, Forms>();

/**
 * What is known of a layout.
 *
 * @param layout the table
 */
export function formsOf(layout: ChangesLayout): Forms {
  let forms = known.get(layout);
  if (forms === undefined) known.set(layout, forms = new Forms(layout));
  return forms;
}

function readerOf({ type, merge, isKey }: LayoutColumn): (value: Value) => Value | undefined {
  const check: ValueCheck | undefined = valueCheck(type);
  const isPlain = isKey || (type !== "timestamp" && type !== "number" && type !== "integer" &&
    !type.startsWith("decimal"));
  return (value) => {
    if (merge === "set" && !Array.isArray(value)) return undefined;
    if (check?.(value) !== undefined) return undefined;
    return isPlain ? value : canonicalValue(type, value);
  };
}

function sameItems<T>(a: readonly T[] | undefined, b: readonly T[] | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
