/**
 * Spans by the runtime's own OpenTelemetry. The runtime makes one for each HTTP request; here it gets
 * the route and what is known of the request, and within it pushes, pulls and, by themselves, flushes
 * get spans. No span has a token, a value or a message of an error.
 *
 * @module
 */

import {
  type Attributes,
  ProxyTracerProvider,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import type { RequestScope } from "../http/request_scope.ts";
import { knownClient } from "./access_log.ts";
import type { Step } from "./gateways.ts";
import { hideQueries } from "./span_urls.ts";
import { codeOf } from "./status.ts";

/** Traces what requests do. */
export interface RequestTracer {
  /** Does the work for a request, and tells its span what became known of it. */
  run<T>(scope: RequestScope, work: () => Promise<T>): Promise<T>;
}

/** A flush that has ended. */
export interface TracedFlush {
  /** The gateway. */
  readonly gateway: string;
  /** The destination by its name in the configuration. */
  readonly destination: string;
  /** Changes that arrived. */
  readonly changes: number;
  /** How long the destination took, in milliseconds. */
  readonly ms: number;
}

/** Traces a server. */
export interface Tracing extends RequestTracer {
  /** Does a step of a gateway's work in a span. */
  readonly step: Step;
  /** Makes a span of a flush that has ended. */
  flushed(flush: TracedFlush): void;
}

/**
 * Finds whether the program traces.
 *
 * @returns undefined where nothing would come of it
 */
export function findTracing(): Tracing | undefined {
  const provider = trace.getTracerProvider();
  const isOff = provider instanceof ProxyTracerProvider &&
    provider.getDelegateTracer("lakesync") === undefined;
  return isOff ? undefined : tracingBy(provider.getTracer("lakesync"));
}

function tracingBy(tracer: Tracer): Tracing {
  hideQueries(tracer);
  return {
    async run(scope, work) {
      const span = trace.getActiveSpan();
      if (span === undefined) return await work();
      try {
        return await work();
      } finally {
        describe(span, scope);
      }
    },
    step: (name, gateway, client, work) =>
      tracer.startActiveSpan(
        `lakesync.${name}`,
        {
          attributes: {
            "lakesync.gateway": gateway,
            "lakesync.client": knownClient(client) ?? "",
          },
        },
        (span) => inSpan(span, work),
      ),
    flushed({ gateway, destination, changes, ms }) {
      const endMs = Date.now();
      const span = tracer.startSpan("lakesync.flush", {
        root: true,
        startTime: endMs - ms,
        attributes: {
          "lakesync.gateway": gateway,
          "lakesync.destination": destination,
          "lakesync.changes": changes,
        },
      });
      span.end(endMs);
    },
  };
}

function describe(span: Span, { id, request, route, gatewayId, clientId, code }: RequestScope) {
  const attributes: Attributes = { "lakesync.request_id": id };
  if (gatewayId !== undefined) attributes["lakesync.gateway"] = gatewayId;
  const client = knownClient(clientId);
  if (client !== undefined) attributes["lakesync.client"] = client;
  if (code !== undefined) attributes["error.type"] = code;
  if (route !== undefined) {
    attributes["http.route"] = route;
    span.updateName(`${request.method} ${route}`);
  }
  span.setAttributes(attributes);
}

async function inSpan<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    span.setAttribute("error.type", codeOf(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}
