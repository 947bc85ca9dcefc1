/**
 * G10: each destination holds every change of the log once, in the log's order, and where it keeps
 * rows, those of the log merged (what the user `*` of its gateway is to see, where that is told).
 *
 * That is so too after its gateway went back to an older copy: what the log has lost is given up, and
 * what devices give back comes in the order of the log.
 *
 * @module
 */
import type { Checker, DestinationEnd, GatewayEnd } from "../history.ts";
import { firstDifference } from "./rows.ts";

/** Looks for destinations that differ from the log. */
export const flush: Checker = ({ gateways }) =>
  gateways.flatMap((gateway) =>
    gateway.destinations.flatMap((destination) =>
      [...differences(gateway, destination)].map((what) => ({
        checker: "flush",
        what: `Destination ${destination.name} of ${gateway.gateway} ${what}`,
      }))
    )
  );

function* differences(
  { log, expected }: GatewayEnd,
  { deltaIds, tables }: DestinationEnd,
): Generator<string> {
  const owners = new Map(log.flatMap(({ tx, deltaIds }) => deltaIds.map((id) => [id, tx])));
  const held = new Set<string>();
  for (const id of deltaIds) {
    if (held.has(id)) yield `holds change ${id} of ${owners.get(id)} twice`;
    held.add(id);
  }
  for (const [id, tx] of owners) if (!held.has(id)) yield `lacks change ${id} of ${tx}`;
  for (const id of held) {
    if (!owners.has(id)) yield `holds change ${id}, which is not in the log`;
  }
  const common = [...held].filter((id) => owners.has(id));
  const order = [...owners.keys()].filter((id) => held.has(id));
  const at = order.findIndex((id, index) => common[index] !== id);
  if (at >= 0) yield `has change ${common[at]} where the log has ${order[at]}`;
  const all = expected["*"];
  if (tables === undefined || all === undefined) return;
  const difference = firstDifference(tables, all);
  if (difference !== undefined) yield `keeps other rows than the log: ${difference}`;
}
