/**
 * A collector of spans on loopback that speaks OTLP over HTTP, as JSON.
 *
 * @module
 */

/** A span as it arrived. */
export interface CollectedSpan {
  /** Its name. */
  readonly name: string;
  /** What it belongs to. */
  readonly traceId: string;
  /** Itself. */
  readonly spanId: string;
  /** The span that it is within; empty for none. */
  readonly parentSpanId: string;
  /** Its attributes; of one that was set twice both values. */
  readonly attributes: readonly (readonly [name: string, value: unknown])[];
}

interface OtlpSpan extends Omit<CollectedSpan, "attributes"> {
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, unknown>>;
  }[];
}

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

/** Collects spans. */
export class Collector implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #spans: CollectedSpan[] = [];
  #received = "";
  #wake = () => {};

  /** Begins to listen on any port. */
  constructor() {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      return this.#receive(request);
    });
  }

  /** The variables by which a program sends to it. */
  get env(): Readonly<Record<string, string>> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_SERVICE_NAME: "lakesync",
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  /** Everything that arrived, as text. */
  get received(): string {
    return this.#received;
  }

  /** Waits for a span. */
  async span(isIt: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
    for (;;) {
      const found = this.#spans.find(isIt);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #receive(request: Request): Promise<Response> {
    const text = await request.text();
    this.#received += text;
    if (request.url.endsWith("/v1/traces")) {
      const { resourceSpans }: OtlpBody = JSON.parse(text);
      const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans);
      for (const span of spans) {
        const attributes = span.attributes
          .map(({ key, value }) => [key, Object.values(value)[0]] as const);
        this.#spans.push({ ...span, attributes });
      }
      this.#wake();
    }
    return Response.json({});
  }
}
