/**
 * Keeps queries out of spans. The runtime tells the address of each request with its query, as the
 * caller sent it. A token there is refused, but it would have reached the collector, where it is
 * good until it ends. The runtime has no setting for this, so what its spans are told passes through
 * here.
 *
 * @module
 */

import type { AttributeValue, Span, Tracer } from "@opentelemetry/api";

type SetAttribute = Span["setAttribute"];

const hidden = new WeakSet<object>();

/**
 * Lets no span of a tracer's kind take a query.
 *
 * @param tracer the runtime's
 */
export function hideQueries(tracer: Tracer): void {
  // A span that is not ended is told to nobody.
  const kind = Object.getPrototypeOf(tracer.startSpan("lakesync")) as Span;
  if (hidden.has(kind)) return;
  hidden.add(kind);
  const setAttribute: SetAttribute = kind.setAttribute;
  kind.setAttribute = function (this: Span, name: string, value: AttributeValue): Span {
    return setAttribute.call(this, name, withoutQuery(name, value));
  };
}

/** An attribute without what a caller put into a query. */
export function withoutQuery(name: string, value: AttributeValue): AttributeValue {
  if (typeof value !== "string") return value;
  if (name === "url.query") return "";
  return name === "url.full" ? value.replace(/[?#].*$/s, "") : value;
}
