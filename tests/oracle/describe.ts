/**
 * Writes a world as a script for people.
 *
 * @module
 */

import { type DeltaPlan, type Event, type Plan, type PushPlan, schemaIn } from "./plan.ts";
import type { Failure } from "./seed.ts";

function delta({ op, table, rowId, stamp, columns }: DeltaPlan): string {
  const cells = op === "DELETE" ? "" : ` ${JSON.stringify(columns)}`;
  return `${op} ${table} ${rowId}${cells} @${stamp.join(".")}`;
}

function push({ client, transactions, again }: PushPlan): string {
  const deltas = transactions.map((deltas) =>
    `\n      { ${deltas.map(delta).join("\n        ")} }`
  );
  return `c${client} pushes${again ? " twice" : ""}${deltas.join("")}`;
}

function line(event: Event): string {
  switch (event.kind) {
    case "push":
      return event.pushes.map(push).join("\n   ");
    case "pull": {
      const repair = event.repair === undefined ? "" : ", after damage asks to repair";
      return `c${event.client} pulls ${event.mode}, limit ${event.limit}${repair}`;
    }
    case "claims":
      return `c${event.client} has the claims ${JSON.stringify(event.claims)}`;
    case "rules": {
      const lines = JSON.stringify(event.rules, null, 1).replaceAll(/\n\s{3,}/g, " ")
        .replaceAll("\n", "\n     ");
      const pushes = event.pushes.map((item) => `after ${event.delay} microtasks ${push(item)}`);
      return ["rules " + lines, ...pushes].join("\n   ");
    }
    case "schema":
      return `schema version ${event.version}`;
    case "upgrade":
      return `c${event.client} takes the newest schema version`;
    case "forget":
      return `c${event.client} forgets its cursor`;
    case "restart":
      return "the gateway restarts";
    case "explain":
      return `why does c${event.client} see ${event.table} ${event.rowId}`;
  }
}

/** Shortens the tokens of a text, the same ones in the same way. */
function legible(text: string): string {
  const short = new Map<string, string>();
  return text.replaceAll(/~[a-z2-7]{14}/g, (token) => {
    const known = short.get(token) ?? `~${short.size}`;
    short.set(token, known);
    return known;
  });
}

/**
 * Writes a world and how it goes wrong.
 *
 * @param plan the world
 * @param failure how it goes wrong
 * @returns lines of text, tokens shortened
 */
export function describe(plan: Plan, failure: Failure): string {
  const version = Math.max(
    1,
    ...plan.steps.flatMap((step) => step.kind === "schema" ? [step.version] : []),
  );
  const { tables } = schemaIn(plan, version);
  const lines = [
    `seed ${plan.seed}, store ${plan.store}, schema of version ${version}`,
    ...Object.entries(tables).map(([name, table]) =>
      `   ${name} (${table.primaryKey.join()}) ${
        Object.entries(table.columns).map(([column, spec]) =>
          `${column}:${typeof spec === "string" ? spec : spec.merge ?? spec.type}`
        ).join(" ")
      }`
    ),
    ...plan.clients.map(({ clientId, sub, admin, claims }) =>
      `   ${clientId} is ${sub}${admin ? ", admin" : ""} ${JSON.stringify(claims)}`
    ),
    ...plan.steps.map((step, i) => `${i}. ${line(step)}`),
    `=> ${failure.what}`,
  ];
  return legible(lines.join("\n"));
}
