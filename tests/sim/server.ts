/**
 * A server of a run: the real HTTP routes, live connections and gateways over a model disk, in a
 * process that crashes, restarts, and may find an older copy of its data.
 *
 * @module
 */

import type { ObjectStore } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import { createHash } from "node:crypto";
import { AuditLog } from "../../server/audit/log.ts";
import type { Authenticator } from "../../server/auth/verify.ts";
import type { VerifiedToken } from "../../server/auth/token.ts";
import { checkpointSettings } from "../../server/gateway/checkpoint_settings.ts";
import type { GatewayEnvironment, Retention } from "../../server/gateway/environment.ts";
import type { Gateways } from "../../server/gateway/gateway.ts";
import { openGateways } from "../../server/gateway/open.ts";
import type { OpenGateway } from "../../server/gateway/open_gateway.ts";
import { createApp, type RequestHandler } from "../../server/http/app.ts";
import type { Phase } from "../../server/http/context.ts";
import { DEFAULT_SERVER_LIMITS } from "../../server/limits.ts";
import { LiveHub } from "../../server/live/hub.ts";
import type { Mount, SimDisk } from "./disk.ts";
import { diskStores, type SharedLogs } from "./disk_store.ts";
import { EPOCH_MS } from "./globals.ts";
import type { Kernel } from "./kernel.ts";
import type { LogWatch } from "./log_watch.ts";
import type { Host } from "./network.ts";
import type { Outlets } from "./outlets.ts";
import { never, Process } from "./process.ts";
import type { Recorder } from "./recorder.ts";
import type { Connection } from "./socket.ts";

/** Longer than any run. */
const AUDIT_KEEP_MS = 400 * 24 * 60 * 60 * 1000;

/** What a token says: JSON in base64, since signatures cannot be replayed. */
export interface TokenContent {
  readonly sub: string;
  readonly role: "client" | "admin";
  /** When it ends, in milliseconds since 1970 by the true time. */
  readonly endsMs: number;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Writes a token. */
export function writeToken(content: TokenContent): string {
  return new TextEncoder().encode(JSON.stringify(content)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}

/** The gateway that a push is for: what comes before the last part of its path. */
function gatewayOf({ url }: Request): string {
  return new URL(url).pathname.split("/").at(-2) ?? "";
}

function readToken(token: string): TokenContent {
  const bytes = Uint8Array.fromBase64(token, { alphabet: "base64url" });
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The one database of several servers, for as long as it is not put back to a backup. */
export interface SharedData {
  logs: SharedLogs;
}

/** What a server is made of. */
export interface ServerSettings {
  readonly kernel: Kernel;
  readonly recorder: Recorder;
  readonly disk: SimDisk;
  /** Given to several servers, what is on the disk is one database for all of them. */
  readonly shared?: SharedData | undefined;
  /** Keeps the chunks of checkpoints. */
  readonly objects: ObjectStore;
  /** Follow the gateways' logs. */
  readonly watches: ReadonlyMap<string, LogWatch>;
  /** The gateways' ids. */
  readonly gateways: readonly string[];
  /** Where each gateway flushes to. */
  readonly outlets: ReadonlyMap<string, Outlets>;
  /** Buckets with so many rows come in chunks. */
  readonly minRows: number;
  /** What history the gateways keep; what they keep by default unless given. */
  readonly retention?: Retention;
  /** Told of what the gateway cannot tell a caller in detail. */
  readonly onError: (what: string, error: unknown) => void;
}

/** A server. */
export class SimServer implements Host {
  /** How far its clock is ahead of the true time, in milliseconds. */
  skewMs = 0;
  /** How much slower its disk is than it usually is. */
  slowness = 1;
  /** Whether an operator keeps it down. */
  isHeld = false;
  readonly #settings: ServerSettings;
  readonly #sockets = new WeakMap<Request, Connection>();
  #process: Process | undefined;
  #gateways: Gateways | undefined;
  #app: RequestHandler | undefined;
  #hub: LiveHub | undefined;
  #phase: Phase = "starting";
  #stopping = new AbortController();
  #peeking = false;
  #mount: Mount | undefined;

  /** @param settings what it is made of */
  constructor(settings: ServerSettings) {
    this.#settings = settings;
  }

  get process(): Process | undefined {
    return this.#process;
  }

  /** Whether a process runs that is not about to end. */
  get isReady(): boolean {
    return this.#phase === "ready";
  }

  /** The gateways of the process that runs. */
  get gateways(): Gateways {
    if (this.#gateways === undefined) throw new Error("The server is down");
    return this.#gateways;
  }

  /** Its clock, in milliseconds since 1970. */
  readonly clock = (): number => Math.floor(EPOCH_MS + this.#settings.kernel.nowMs + this.skewMs);

  /** Starts a process, if none runs. */
  start(): void {
    if (this.#process !== undefined || this.isHeld) return;
    const { kernel, disk, shared } = this.#settings;
    const process = new Process(kernel);
    this.#process = process;
    this.#stopping = new AbortController();
    const mount = disk.mount();
    this.#mount = mount;
    const stores = diskStores({
      disk: mount,
      ...(shared === undefined ? {} : { shared: shared.logs }),
      randomId: () => crypto.randomUUID(),
      io: (what) => this.#io(process, what),
    });
    const gateways = openGateways(stores, this.#environment(process));
    const context = {
      gateways,
      authenticator: this.#authenticator(process),
      phase: () => this.#phase,
      limits: DEFAULT_SERVER_LIMITS,
      records: stores.records,
      audit: new AuditLog({
        records: stores.records,
        keepMs: AUDIT_KEEP_MS,
        now: this.clock,
        processId: "simulated",
      }),
      stopping: this.#stopping.signal,
      clock: { now: this.clock, setTimer: process.timer },
      upgrade: (request: Request, protocol: string) => this.#upgrade(request, protocol),
    };
    this.#gateways = gateways;
    this.#hub = new LiveHub(context);
    this.#app = createApp({ ...context, live: this.#hub });
    this.#phase = "ready";
    for (const id of this.#settings.gateways) this.#follow(process, gateways, id);
  }

  /** Follows a gateway's log, as soon as it can be opened. */
  #follow(process: Process, gateways: Gateways, id: string): void {
    this.#watch(process, gateways, id).catch(() => {
      process.timer(100, () => this.#follow(process, gateways, id));
    });
  }

  async #watch(process: Process, gateways: Gateways, id: string): Promise<void> {
    const gateway = await gateways.create(id);
    const watch = this.#settings.watches.get(id);
    this.#settings.outlets.get(id)?.open(process, gateway, this.clock);
    const peek = <T>(read: () => T): T => {
      this.#peeking = true;
      try {
        return read();
      } finally {
        this.#peeking = false;
      }
    };
    const ended = new Promise<void>((resolve) => process.atEnd(resolve));
    watch?.follow(gateway as OpenGateway, peek, ended);
  }

  /** What the disk takes: memory nothing, a write little, and until it is durable a while. */
  async #io(process: Process, what: "read" | "write" | "fsync"): Promise<void> {
    const { random } = this.#settings.kernel;
    if (this.#peeking) return;
    if (what === "read" && !random.chance(0.02 * this.slowness)) {
      if (!process.step()) await never();
      return;
    }
    await process.pause(
      (what === "fsync" ? random.between(1, 8) : random.below(3)) * this.slowness,
    );
  }

  #environment(process: Process): GatewayEnvironment {
    const { random } = this.#settings.kernel;
    const { objects, minRows, onError, retention } = this.#settings;
    return {
      now: this.clock,
      nextTurn: () => process.pause(random.chance(0.2) ? 1 : 0),
      setTimer: process.timer,
      randomId: () => crypto.randomUUID(),
      hash: (text) => createHash("sha256").update(text).digest("hex"),
      checkpoints: checkpointSettings(objects, { minRows, chunkRows: 16 }),
      ...(retention === undefined ? {} : { retention }),
      onError: (what, error) => {
        if (process.alive) onError(what, error);
      },
    };
  }

  #authenticator(process: Process): Authenticator {
    return {
      verify: async (text) => {
        await process.pause(0);
        let content: TokenContent;
        try {
          content = readToken(text);
        } catch {
          throw new LakeSyncError("AUTH_ERROR", "The token is none");
        }
        const { sub, role, endsMs, claims } = content;
        if (endsMs <= this.clock()) throw new LakeSyncError("AUTH_ERROR", "The token has ended");
        const verified: VerifiedToken = { sub, gw: "*", role, endsMs, claims: { ...claims, sub } };
        return verified;
      },
    };
  }

  #upgrade(request: Request, _protocol: string): Deno.WebSocketUpgrade {
    const connection = this.#sockets.get(request);
    if (connection === undefined) throw new Error("The request opens no socket");
    const response = new Response(null, { headers: { "x-upgraded": "yes" } });
    return { socket: connection.server as unknown as WebSocket, response };
  }

  async handle(request: Request): Promise<Response> {
    const process = this.#process;
    if (process === undefined || this.#app === undefined) return await never();
    const push = request.method === "POST" && request.url.endsWith("/push");
    const body = push ? new Uint8Array(await request.clone().arrayBuffer()) : undefined;
    const { recorder } = this.#settings;
    const response = await this.#app(request);
    if (!process.alive) return await never();
    if (body === undefined || !response.ok) return response;
    const answer = new Uint8Array(await response.arrayBuffer());
    if (!process.alive) return await never();
    recorder.answered(gatewayOf(request), body, answer);
    return new Response(answer, response);
  }

  async accept(request: Request, connection: Connection): Promise<boolean> {
    if (this.#app === undefined) return false;
    this.#sockets.set(request, connection);
    const response = await this.#app(request);
    return response.headers.has("x-upgraded");
  }

  /** Ends the process at once, as by a kill or by a failure of the power. */
  crash(power: boolean): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#down(process);
    const { disk, shared, kernel } = this.#settings;
    // A database of its own that several servers use does not lose power with one of them.
    if (power && shared === undefined) disk.crash(kernel.random);
    else this.#mount?.kill();
  }

  /** Lets the process end in order. */
  async stop(): Promise<void> {
    const process = this.#process;
    const gateways = this.#gateways;
    if (process === undefined || gateways === undefined) return;
    this.#phase = "draining";
    this.#stopping.abort();
    await this.#hub?.drain(2_000);
    await process.pause(500);
    await Promise.all([...this.#settings.outlets.values()].map((outlets) => outlets.close()));
    await gateways.close();
    this.#down(process);
  }

  #down(process: Process): void {
    process.end();
    this.#process = undefined;
    this.#gateways = undefined;
    this.#app = undefined;
    this.#phase = "starting";
  }
}
