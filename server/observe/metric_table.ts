/**
 * Every metric of a server, as data: the one table that `/metrics` and its documentation are made
 * of. No label has values that callers choose; those of gateways and destinations are bounded by
 * {@linkcode MAX_LABELED}.
 *
 * @module
 */

/** A metric. */
export interface MetricSpec {
  /** Its name. */
  readonly name: string;
  /** What Prometheus takes it for. */
  readonly type: "counter" | "gauge" | "histogram";
  /** What it tells. */
  readonly help: string;
  /** Its labels; none unless given. */
  readonly labels?: readonly string[];
  /** The upper bounds of a histogram's buckets, in the unit of its name. */
  readonly buckets?: readonly number[];
}

/** So many destinations of gateways are told one by one; the others together, as `other`. */
export const MAX_LABELED = 100;

const OF_DESTINATION = ["gateway", "destination"];

const LATENCY_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** The metrics of pushes, pulls and what became of them. */
const SYNC: readonly MetricSpec[] = [
  {
    name: "lakesync_push_total",
    type: "counter",
    help: "Pushes over HTTP and WebSocket, by what they came to: ok, refused, shed (turned away " +
      "for now), aborted (given up: no time or no caller any more) or failed",
    labels: ["status"],
  },
  {
    name: "lakesync_push_latency_ms",
    type: "histogram",
    help: "How long pushes took from being read to being durable, in milliseconds",
    buckets: [1, 5, 10, 50, 100, 500],
  },
  {
    name: "lakesync_pull_total",
    type: "counter",
    help: "Pages pulled over HTTP and WebSocket, by what they came to, as of pushes",
    labels: ["status"],
  },
  {
    name: "lakesync_pull_latency_seconds",
    type: "histogram",
    help: "How long pages took that nobody waited for",
    buckets: LATENCY_SECONDS,
  },
  {
    name: "lakesync_pull_pages",
    type: "histogram",
    help: "Pages of which a pull consisted, from its first to the one that completed it",
    buckets: [1, 2, 5, 10, 50, 100, 500],
  },
  { name: "lakesync_applied_total", type: "counter", help: "Changes of rows that were committed" },
  {
    name: "lakesync_conflict_total",
    type: "counter",
    help: "Changes among them that lost a column to a newer write",
  },
  {
    name: "lakesync_rejected_total",
    type: "counter",
    help: "Transactions that were refused, by the reason",
    labels: ["code"],
  },
  {
    name: "lakesync_stopped_total",
    type: "counter",
    help:
      "Pushes that stopped at what their clients must mend first: a clock that is wrong, or a " +
      "schema that the gateway has not got yet",
    labels: ["code"],
  },
  {
    name: "lakesync_duplicate_total",
    type: "counter",
    help: "Transactions that came again and had no second effect",
  },
  {
    name: "lakesync_resync_total",
    type: "counter",
    help: "Pulls that were told to begin anew, since their cursor is older than what is kept",
  },
  {
    name: "lakesync_checksum_mismatch_total",
    type: "counter",
    help: "Changes that did not fit their checksum (delta), and buckets that a client found " +
      "different from the gateway's and asked for anew (bucket)",
    labels: ["source"],
  },
];

/** The metrics of flushing. */
const FLUSH: readonly MetricSpec[] = [
  {
    name: "lakesync_flush_total",
    type: "counter",
    help: "Batches that arrived in a destination (ok), and attempts that failed (failed)",
    labels: ["status"],
  },
  {
    name: "lakesync_flush_duration_ms",
    type: "histogram",
    help: "How long a destination took to write a batch, in milliseconds",
    buckets: [10, 50, 100, 500, 1000, 5000],
  },
  {
    name: "lakesync_buffer_bytes",
    type: "gauge",
    help:
      "What waits in the logs of gateways for the destination that is furthest behind, in bytes",
  },
  {
    name: "lakesync_buffer_deltas",
    type: "gauge",
    help: "Changes that wait there",
  },
  {
    name: "lakesync_destination_lag_seconds",
    type: "gauge",
    help: "For how many seconds the oldest change that the destination lacks has waited",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_destination_lag_changes",
    type: "gauge",
    help: "Changes that the destination lacks; an estimate while it is far behind",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_destination_lag_commits",
    type: "gauge",
    help: "Commits by which the destination is behind",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_destination_failures",
    type: "gauge",
    help: "Failures of the destination in a row",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_destination_seq",
    type: "gauge",
    help: "The commit up to which everything has arrived; of other, the lowest",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_destination_query_duration_seconds",
    type: "histogram",
    help: "How long a destination took to answer, by its name in the configuration",
    labels: ["destination"],
    buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
  },
  {
    name: "lakesync_lake_merge_lag_seconds",
    type: "gauge",
    help: "For how many seconds the tables of rows have been behind those of changes",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_lake_merge_lag_commits",
    type: "gauge",
    help: "Commits by which the tables of rows were behind when that was looked at last",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_lake_failures",
    type: "gauge",
    help: "Failures in a row to merge the lake or to keep it in shape",
    labels: OF_DESTINATION,
  },
  {
    name: "lakesync_lake_files",
    type: "gauge",
    help: "Files that a table of the lake has",
    labels: [...OF_DESTINATION, "table"],
  },
  {
    name: "lakesync_lake_bytes",
    type: "gauge",
    help: "Bytes that they have",
    labels: [...OF_DESTINATION, "table"],
  },
];

/** The metrics of callers and connections. */
const CALLERS: readonly MetricSpec[] = [
  {
    name: "lakesync_requests_total",
    type: "counter",
    help: "HTTP requests, by route and status; none is no route",
    labels: ["route", "status"],
  },
  {
    name: "lakesync_active_requests",
    type: "gauge",
    help: "HTTP requests under way, this one among them",
  },
  {
    name: "lakesync_errors_total",
    type: "counter",
    help: "Errors that callers were told over HTTP and WebSocket, by code",
    labels: ["code"],
  },
  {
    name: "lakesync_rate_limited_total",
    type: "counter",
    help: "Requests and connections that were turned away for their rate (RATE_LIMITED)",
  },
  {
    name: "lakesync_shed_total",
    type: "counter",
    help: "Requests that were turned away for want of memory (memory) or of other room " +
      "(backpressure), or to stop (draining)",
    labels: ["reason"],
  },
  { name: "lakesync_ws_connections", type: "gauge", help: "Live connections" },
  {
    name: "lakesync_ws_connections_max",
    type: "gauge",
    help: "Live connections that the process takes",
  },
  { name: "lakesync_ws_opened_total", type: "counter", help: "Live connections that were opened" },
  {
    name: "lakesync_ws_closed_total",
    type: "counter",
    help: "Live connections that ended, by the reason",
    labels: ["reason"],
  },
];

/** The metrics of the process. */
const PROCESS: readonly MetricSpec[] = [
  {
    name: "lakesync_ready",
    type: "gauge",
    help: "Whether the server takes work and what it depends on works, as /ready has it: 1 or 0",
  },
  {
    name: "lakesync_event_loop_delay_seconds",
    type: "histogram",
    help:
      "How long whatever comes would have had to wait for its turn, looked at 50 times a second",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 5],
  },
  {
    name: "lakesync_build_info",
    type: "gauge",
    help: "Always 1, with what runs",
    labels: ["version", "runtime"],
  },
  {
    name: "lakesync_memory_max_bytes",
    type: "gauge",
    help: "Resident memory above which work is turned away",
  },
  {
    name: "process_cpu_seconds_total",
    type: "counter",
    help: "Time that the processor spent on the process",
  },
  { name: "process_resident_memory_bytes", type: "gauge", help: "Resident memory" },
  { name: "process_heap_bytes", type: "gauge", help: "Memory of the heap that is in use" },
  {
    name: "process_start_time_seconds",
    type: "gauge",
    help: "When the process started, in seconds since 1970",
  },
  {
    name: "process_open_fds",
    type: "gauge",
    help: "Open file descriptors; missing where the process may not look",
  },
];

/** All metrics, in the order in which they are told. */
export const METRICS: readonly MetricSpec[] = [...SYNC, ...FLUSH, ...CALLERS, ...PROCESS];
