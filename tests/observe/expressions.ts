/**
 * The metrics that an expression of PromQL asks for.
 *
 * @module
 */

/** What follows the name of a histogram in its series. */
const OF_HISTOGRAM = /_(bucket|sum|count)$/;

/** The names of metrics in an expression, without what follows those of histograms. */
export function metricNames(expression: string): readonly string[] {
  const bare = expression.replaceAll(/"[^"]*"/g, "");
  const names = [...bare.matchAll(/\b(?:lakesync|process|node)_\w+/g)].map(([name]) => name);
  return [...new Set(names.map((name) => name.replace(OF_HISTOGRAM, "")))];
}
