/**
 * The disjunctive form: a filter as conjuncts of which at least one must hold.
 *
 * @module
 */

import { keyText } from "./compare.ts";
import type { Condition, Conjunct, Filter } from "./model.ts";

/**
 * Brings a filter into disjunctive form, without conditions or conjuncts that are there twice.
 *
 * @param filter any filter
 * @param most the greatest number of conjuncts
 * @returns the conjuncts, or undefined when there are more
 */
export function disjunctiveForm(filter: Filter, most: number): readonly Conjunct[] | undefined {
  if (filter.kind === "condition") return [[filter]];
  let form: readonly Conjunct[] = filter.kind === "all" ? [[]] : [];
  for (const part of filter.filters) {
    const conjuncts = disjunctiveForm(part, most);
    if (conjuncts === undefined) return undefined;
    form = distinct(
      filter.kind === "any"
        ? [...form, ...conjuncts]
        : form.flatMap((left) => conjuncts.map((right) => union(left, right))),
    );
    if (form.length > most) return undefined;
  }
  return form;
}

function union(left: Conjunct, right: Conjunct): Conjunct {
  return [
    ...new Map([...left, ...right].map((item) => [conditionId(item), item] as const)).values(),
  ];
}

function distinct(conjuncts: readonly Conjunct[]): readonly Conjunct[] {
  const byId = new Map<string, Conjunct>();
  for (const conjunct of conjuncts) {
    const id = JSON.stringify(conjunct.map((item) => conditionId(item)).sort());
    if (!byId.has(id)) byId.set(id, conjunct);
  }
  return [...byId.values()];
}

/**
 * A text that equal conditions share and no others.
 *
 * @param condition a condition
 * @param column how columns are named in the text
 * @returns JSON
 */
export function conditionId(
  condition: Condition,
  column: (name: string) => string = (name) => name,
): string {
  const { subject, op, operand, type } = condition;
  const left = subject.kind === "column" ? [0, column(subject.column.name)] : [1, subject.claim];
  const right = operand.kind === "literal"
    ? operand.values.map((value) => keyText(value, type)).sort()
    : [operand.kind, operand.name];
  return JSON.stringify([left, op, operand.kind === "literal", right, type]);
}
