/**
 * G10: each destination holds every change of the log once, in the log's order, and where it keeps
 * rows, those of the log merged (what the user `*` of its gateway is to see, where that is told).
 *
 * After its gateway went back to an older copy, a destination may hold changes that the log has
 * lost, and has the others in another order; then its rows are only compared if it holds no more
 * than the log. It still lacks nothing and has nothing twice.
 *
 * @module
 */
import type { Checker, DestinationEnd, GatewayEnd } from "../history.ts";
import { firstDifference } from "./rows.ts";

/** Looks for destinations that differ from the log. */
export const flush: Checker = ({ events, gateways }) =>
  gateways.flatMap((gateway) => {
    const restored = events.some((event) =>
      event.kind === "restored" && event.gateway === gateway.gateway
    );
    return gateway.destinations.flatMap((destination) =>
      [...differences(gateway, destination, restored)].map((what) => ({
        checker: "flush",
        what: `Destination ${destination.name} of ${gateway.gateway} ${what}`,
      }))
    );
  });

function* differences(
  { log, expected }: GatewayEnd,
  { deltaIds, tables }: DestinationEnd,
  restored: boolean,
): Generator<string> {
  const owners = new Map(log.flatMap(({ tx, deltaIds }) => deltaIds.map((id) => [id, tx])));
  const held = new Set<string>();
  for (const id of deltaIds) {
    if (held.has(id)) yield `holds change ${id} of ${owners.get(id)} twice`;
    held.add(id);
  }
  const extra = [...held].filter((id) => !owners.has(id));
  for (const [id, tx] of owners) if (!held.has(id)) yield `lacks change ${id} of ${tx}`;
  if (!restored) {
    for (const id of extra) yield `holds change ${id}, which is not in the log`;
    const common = [...held].filter((id) => owners.has(id));
    const order = [...owners.keys()].filter((id) => held.has(id));
    const at = order.findIndex((id, index) => common[index] !== id);
    if (at >= 0) yield `has change ${common[at]} where the log has ${order[at]}`;
  }
  const all = expected["*"];
  if (tables === undefined || all === undefined || restored && extra.length > 0) return;
  const difference = firstDifference(tables, all);
  if (difference !== undefined) yield `keeps other rows than the log: ${difference}`;
}
