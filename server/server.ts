/**
 * Puts a server together and takes it down in order: stores, gateways, live connections, HTTP.
 *
 * @module
 */

import { memoryObjects, type ObjectStore } from "@lakesync/adapters";
import { AccessControl } from "./access/control.ts";
import { type AccessConfig, readAccessConfig } from "./access/model.ts";
import { ServerAudit } from "./audit/server_audit.ts";
import type { TrustOptions } from "./auth/verify.ts";
import { AnswerWatch } from "./answer_watch.ts";
import type { GatewayConfigs } from "./config_file.ts";
import { Destinations } from "./destinations/destinations.ts";
import { loadAdapters } from "./destinations/open.ts";
import { Lakes } from "./destinations/lakes.ts";
import type { DestinationSpecs } from "./destinations/spec.ts";
import type { WatchFlush } from "./destinations/outflow.ts";
import { ConnectionWatch } from "./connection_watch.ts";
import { DENO_ENVIRONMENT } from "./environment.ts";
import { DEFAULT_RETENTION, type Retention } from "./gateway/environment.ts";
import { checkpointSettings } from "./gateway/checkpoint_settings.ts";
import { openGateways } from "./gateway/open.ts";
import { createApp } from "./http/app.ts";
import type { Phase } from "./http/context.ts";
import type { HeaderOptions } from "./http/headers.ts";
import { DEFAULT_GATEWAY, dependenciesOf, reasonOf } from "./http/health.ts";
import { Readiness, tellOfDependency } from "./http/readiness.ts";
import { DEFAULT_SERVER_LIMITS, type ServerLimits } from "./limits.ts";
import { Listener } from "./listener.ts";
import { LiveHub } from "./live/hub.ts";
import { memoryPressure } from "./memory.ts";
import { ServerObserver } from "./observe/observer.ts";
import { PageTurns } from "./page_turns.ts";
import { prepareGateways } from "./prepare.ts";
import { RequestRates } from "./rates/gate.ts";
import { addressReader, NO_PROXIES, type TrustedProxies } from "./rates/trusted_proxy.ts";
import { shutDown, type ShutdownReport } from "./shutdown.ts";
import type { ServerStores } from "./store/store.ts";
import { type CertificateFiles, WatchedTls } from "./tls/certificate_files.ts";

/** The status of an answer after which a connection is a WebSocket's. */
const SWITCHING_PROTOCOLS = 101;

/** How a server is started. */
export interface ServerOptions {
  /** Keeps the data; closed with the server, also when it does not start. */
  readonly stores: ServerStores;
  /** Which tokens it trusts. */
  readonly trust: TrustOptions;
  /** The address to listen on; loopback unless given. */
  readonly hostname?: string;
  /** The port to listen on, 0 for any; 8787 unless given. */
  readonly port?: number;
  /**
   * Whether any valid token reads and writes everything in gateways that have no sync rules:
   * development mode. Without it such a gateway refuses all tokens but those of role admin.
   */
  readonly openAccess?: boolean;
  /** Schema, rules and destinations by gateway id; they hold before the server is ready. */
  readonly gateways?: GatewayConfigs;
  /** Where changes are flushed to, by name, for gateways that have no destinations of their own. */
  readonly destinations?: DestinationSpecs;
  /** What keeps logs and answers in bounds; what is not given is as usual. */
  readonly retention?: Partial<Retention>;
  /** Keeps the chunks of checkpoints; memory unless given. */
  readonly objects?: ObjectStore;
  /** The certificate that it is reached with; plain HTTP unless given. */
  readonly tls?: CertificateFiles;
  /** Origins of pages that may read answers; none unless given. */
  readonly http?: Pick<HeaderOptions, "corsOrigins">;
  /** What the process holds its callers and itself to; what is not given is as usual. */
  readonly limits?: Partial<ServerLimits>;
  /** How long entries of the audit log are kept, in days; 400 unless given. */
  readonly auditKeepDays?: number;
  /** The proxies that tell where a request comes from; none unless given. */
  readonly proxies?: TrustedProxies;
  /** Buckets with fewer rows are pulled by pages instead; 10,000 unless given. */
  readonly checkpointMinRows?: number;
}

/** A server that runs. */
export interface RunningServer {
  /** Where clients find it. */
  readonly url: string;
  /** The port it listens on. */
  readonly port: number;
  /** Whether the gateway `default` had a schema when the server started. */
  readonly hasSchema: boolean;
  /** Whether it had sync rules. */
  readonly hasRules: boolean;
  /** Answers what is under way, closes live connections and stores, and stops; tells how it went. */
  close(): Promise<ShutdownReport>;
}

async function openDestinations(
  { gateways = {}, destinations = {}, limits = {} }: ServerOptions,
  lakes: Lakes,
  watch: WatchFlush,
): Promise<Destinations> {
  const specsOf = (id: string) => gateways[id]?.destinations ?? destinations;
  const all = [destinations, ...Object.values(gateways).map((config) => config.destinations ?? {})];
  const { now, setTimer, onError } = DENO_ENVIRONMENT;
  const env = { now, setTimer, random: Math.random, ...(onError && { onError }) };
  const open = await loadAdapters(all.flatMap((specs) => Object.values(specs)), { env, lakes });
  const answerMs = limits.flushTimeoutMs ?? DEFAULT_SERVER_LIMITS.flushTimeoutMs;
  return new Destinations({ specsOf, open, env, watch, answerMs });
}

function accessConfigs(gateways: GatewayConfigs = {}): Readonly<Record<string, AccessConfig>> {
  return Object.fromEntries(
    Object.entries(gateways).map(([id, { access = {} }]) => [id, readAccessConfig(access, id)]),
  );
}

/**
 * Starts a server.
 *
 * @param options stores, trust and address
 * @returns the server, once it listens and the gateway `default` is there
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the options trust nothing; what a gateway throws
 * that refuses its schema or rules
 * @throws {Deno.errors.AddrInUse} when the port is taken
 *
 * @example
 * ```ts
 * import { memoryStores, signToken, startServer } from "@lakesync/server";
 *
 * const secret = "a secret of at least thirty-two characters";
 * const server = await startServer({
 *   stores: memoryStores(),
 *   trust: { secrets: [secret] },
 *   port: 0,
 * });
 * const token = await signToken({ secret, sub: "root", gw: "*", role: "admin" });
 * const response = await fetch(`${server.url}/v1/admin/gateways`, {
 *   headers: { Authorization: `Bearer ${token}` },
 * });
 * console.assert((await response.json()).gateways.length === 1);
 * await server.close();
 * ```
 */
export async function startServer(
  options: ServerOptions,
): Promise<RunningServer> {
  const { stores, hostname = "127.0.0.1", port = 8787, openAccess = false } = options;
  const { objects = memoryObjects(), checkpointMinRows: minRows } = options;
  const lakes = new Lakes();
  const checkpoints = checkpointSettings(objects, {
    ...(minRows === undefined ? {} : { minRows }),
    rowsOf: (gatewayId) => lakes.rowsOf(gatewayId),
  });
  const limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits };
  const observer = new ServerObserver({ maxLinesPerSecond: limits.maxLogLinesPerSecond });
  const watch: WatchFlush = (gatewayId, name) => observer.flush(gatewayId, name);
  const destinations = await openDestinations(options, lakes, watch);
  const retention = { ...DEFAULT_RETENTION, ...options.retention };
  const pressure = memoryPressure(limits.maxMemoryBytes);
  const turns = new PageTurns(pressure);
  const gateways = observer.gateways(openGateways(
    stores,
    {
      ...DENO_ENVIRONMENT,
      openAccess,
      checkpoints,
      retention,
      tablesOf: (id) => control?.lists.tables(id),
      observer: observer.commits,
      pageTurn: () => turns.begin(),
    },
    (gateway) => destinations.attach(gateway),
  ));
  const audit = new ServerAudit(stores.records, options.auditKeepDays);
  const stopping = new AbortController();
  const { records } = stores;
  let phase: Phase = "starting";
  const started = Promise.withResolvers<void>();
  let control: AccessControl | undefined;
  let tls: WatchedTls | undefined;
  try {
    const { trust, gateways: configs } = options;
    control = await AccessControl.open({
      trust,
      records,
      configs: accessConfigs(configs),
      note: (event) => audit.note(event),
    });
    const { authenticator, lists, failures } = control;
    const readiness = new Readiness({
      dependencies: () => dependenciesOf({ gateways, records, destinations }),
      onChange: (name, result, error) => {
        if (phase === "ready") tellOfDependency(name, result, error);
      },
    });
    tls = options.tls && await WatchedTls.open(options.tls);
    const context = {
      gateways,
      destinations,
      lakes,
      observer: observer.requests,
      liveObserver: observer.live,
      metrics: observer.metrics({
        destinations,
        lakes,
        live: () => ({ open: live.counts.open, max: limits.maxConnections }),
        isReady: () => {
          void readiness.results();
          return phase === "ready" && reasonOf(readiness.last ?? {}, destinations) === undefined;
        },
        memory: pressure,
      }),
      http: { ...options.http, isTls: tls !== undefined },
      authenticator,
      access: lists,
      lists,
      failures,
      limits,
      records,
      pressure,
      rates: new RequestRates({ limits, records }),
      audit,
      readiness,
      phase: () => phase,
      started: started.promise,
      stopping: stopping.signal,
    };
    const live: LiveHub = new LiveHub(context);
    control.guard(live);
    const app = createApp({ ...context, live });
    const addressOf = addressReader(options.proxies ?? NO_PROXIES);
    const answers = new AnswerWatch({
      timeoutMs: limits.requestTimeoutMs,
      isShort: () => pressure.isHigh,
    });
    const connections = new ConnectionWatch({ port: () => server.addr.port });
    const server = new Listener({ hostname, port }, async (request, origin) => {
      const answered = connections.begin(origin);
      const ip = addressOf(origin.ip, request.headers);
      const response = await app(request, { ...origin, ip });
      const isLive = response.status === SWITCHING_PROTOCOLS;
      answered(isLive);
      if (!isLive) answers.watch(origin);
      return response;
    }, tls?.serve);
    connections.start();

    const close = async () => {
      phase = "draining";
      stopping.abort();
      const { drainTimeoutMs } = limits;
      return await shutDown({
        drainTimeoutMs,
        requests: app.requests,
        live,
        listener: server,
        destinations,
        close: async () => {
          await control?.close();
          await tls?.close();
          await audit.end();
          await gateways.close();
          answers.close();
          connections.close();
          observer.close();
        },
      });
    };

    let hasSchema: boolean;
    let hasRules: boolean;
    try {
      await prepareGateways(gateways, options.gateways ?? {}, (event) => audit.note(event));
      const gateway = await gateways.create(DEFAULT_GATEWAY);
      hasSchema = gateway.schema !== undefined;
      hasRules = (await gateway.rules()).rules !== undefined;
      // Flushing goes on where it ended, also for gateways that nobody asks for.
      for (const id of await gateways.list()) if (destinations.has(id)) await gateways.get(id);
    } catch (error) {
      started.resolve();
      await server.cut();
      connections.close();
      throw error;
    }
    await audit.note({ what: "server.start", outcome: "done", sub: "server" });
    phase = "ready";
    started.resolve();
    void readiness.results();
    const { addr } = server;
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    let closing: Promise<ShutdownReport> | undefined;
    return {
      url: `${tls === undefined ? "http" : "https"}://${host}:${addr.port}`,
      port: addr.port,
      hasSchema,
      hasRules,
      close: () => closing ??= close(),
    };
  } catch (error) {
    observer.close();
    await control?.close();
    await tls?.close();
    await destinations.close();
    await gateways.close();
    throw error;
  }
}
