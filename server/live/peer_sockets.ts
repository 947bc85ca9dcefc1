/**
 * The sockets under WebSockets, by the addresses of their peers. The runtime cannot end a connection
 * whose peer reads nothing, and does not tell what it holds of messages that are not whole yet; the
 * operating system can and does (docs/adr/0021-live-connections.md). Only with `--allow-ffi`.
 *
 * Source: POSIX `shutdown`, `getpeername`, `setsockopt`; Linux `struct tcp_info` (tcp(7)).
 *
 * @module
 */

import { openLibc } from "../libc.ts";

/** A peer's address. */
export interface PeerAddress {
  /** An IP address. */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
}

/** What has gone over a connection since it is there, in bytes. */
export interface Traffic {
  /** What has arrived from the peer. */
  readonly received: number;
  /** What the peer has confirmed to have got. */
  readonly acked: number;
  /** Whether the system has something for the peer that it has not got. */
  readonly isWaiting: boolean;
}

/** Ends connections, and tells what has gone over them. */
export interface PeerSockets {
  /**
   * Ends the connection of a peer at once: nothing more is sent to it, nor kept for it.
   *
   * @returns whether there was one
   */
  reset(peer: PeerAddress): boolean;
  /**
   * What has gone over all connections.
   *
   * @returns traffic by {@linkcode peerKey}; empty where the system does not tell
   */
  traffic(): Map<string, Traffic>;
  /**
   * Who is at the other end of the connections to a port of ours.
   *
   * @returns by {@linkcode peerKey}
   */
  peersOf(port: number): readonly string[];
  /** Lets go of the library. */
  close(): void;
}

const SYMBOLS = {
  getdtablesize: { parameters: [], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const;

const LINUX = Deno.build.os === "linux";
const AF_INET = 2;
const AF_INET6 = LINUX ? 10 : 30;
const SOL_SOCKET = LINUX ? 1 : 0xffff;
/** Counts in seconds, as `SO_LINGER` does on Linux. */
const SO_LINGER = LINUX ? 13 : 0x1080;
const SHUT_RDWR = 2;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** Where `tcpi_unacked` and so on are in `struct tcp_info`. */
const UNACKED_AT = 24;
const BYTES_ACKED_AT = 120;
const BYTES_RECEIVED_AT = 128;
const NOT_SENT_BYTES_AT = 144;

const MAX_SOCKADDR_BYTES = 128;
/** Where the port is in `struct sockaddr_in` and `sockaddr_in6`. */
const PORT_AT = 2;
const MAX_DESCRIPTORS = 65_536;
/** The highest descriptor of a connection so far. */
let highest = 0;
/** So many above it are looked at, since low ones are given first. */
const MAX_GAP = 2_048;

const MAPPED = /^\[::ffff:([\da-f]{1,4}):([\da-f]{1,4})\]$/;

/** The name of a peer, however its address is written; IPv4 is the same inside of IPv6. */
export function peerKey({ hostname, port }: PeerAddress): string {
  if (!hostname.includes(":")) return `${hostname}:${port}`;
  const [address] = hostname.split("%");
  const canonical = new URL(`http://[${address}]`).hostname;
  const [high, low] = MAPPED.exec(canonical)?.slice(1).map((group) => parseInt(group, 16)) ?? [];
  if (high === undefined || low === undefined) return `${canonical}:${port}`;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}:${port}`;
}

/** Reads a `struct sockaddr_in` or `sockaddr_in6`. */
function keyOf(view: DataView): string | undefined {
  const family = LINUX ? view.getUint16(0, true) : view.getUint8(1);
  const port = view.getUint16(PORT_AT);
  if (family === AF_INET) {
    const [a, b, c, d] = [view.getUint8(4), view.getUint8(5), view.getUint8(6), view.getUint8(7)];
    return `${a}.${b}.${c}.${d}:${port}`;
  }
  if (family !== AF_INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
  return peerKey({ hostname: groups.join(":"), port });
}

class LibcSockets implements PeerSockets {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #address = new Uint8Array(MAX_SOCKADDR_BYTES);
  readonly #addressView = new DataView(this.#address.buffer);
  readonly #length = new Uint32Array(1);
  readonly #lengthBytes = new Uint8Array(this.#length.buffer);
  readonly #info = new Uint8Array(256);
  /** Where connections were at the last look; undefined where there are two of a name. */
  readonly #descriptors = new Map<string, number | undefined>();

  constructor(library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.#library = library;
  }

  reset(peer: PeerAddress): boolean {
    const key = peerKey(peer);
    const descriptor = this.#find(key) ?? this.#findAgain(key);
    if (descriptor === undefined) return false;
    const { setsockopt, shutdown } = this.#library.symbols;
    // The close that follows sends a reset and forgets what was not taken.
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8);
    return shutdown(descriptor, SHUT_RDWR) === 0;
  }

  /** Where a peer was at the last look, if it is still there. */
  #find(key: string): number | undefined {
    const descriptor = this.#descriptors.get(key);
    return descriptor !== undefined && this.#nameOf(descriptor) === key ? descriptor : undefined;
  }

  #findAgain(key: string): number | undefined {
    this.#each(() => {});
    return this.#descriptors.get(key);
  }

  traffic(): Map<string, Traffic> {
    const traffic = new Map<string, Traffic>();
    if (!LINUX) return traffic;
    const { getsockopt } = this.#library.symbols;
    const view = new DataView(this.#info.buffer);
    this.#each((name, descriptor) => {
      this.#length[0] = this.#info.length;
      const failed =
        getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, this.#info, this.#lengthBytes) !== 0;
      if (failed || (this.#length[0] ?? 0) < NOT_SENT_BYTES_AT + 4) return;
      traffic.set(name, {
        received: Number(view.getBigUint64(BYTES_RECEIVED_AT, true)),
        acked: Number(view.getBigUint64(BYTES_ACKED_AT, true)),
        isWaiting: view.getUint32(UNACKED_AT, true) + view.getUint32(NOT_SENT_BYTES_AT, true) > 0,
      });
    });
    return traffic;
  }

  peersOf(port: number): readonly string[] {
    const { getsockname } = this.#library.symbols;
    const own = new Uint8Array(MAX_SOCKADDR_BYTES);
    const view = new DataView(own.buffer);
    const names: string[] = [];
    this.#each((name, descriptor) => {
      this.#length[0] = own.length;
      if (getsockname(descriptor, own, this.#lengthBytes) !== 0) return;
      if (view.getUint16(PORT_AT) === port) names.push(name);
    });
    return names;
  }

  close(): void {
    this.#library.close();
  }

  /** Calls with each connection that the process has. */
  #each(found: (name: string, descriptor: number) => void): void {
    const most = Math.min(this.#library.symbols.getdtablesize(), MAX_DESCRIPTORS);
    this.#descriptors.clear();
    for (let descriptor = 0; descriptor < most; descriptor++) {
      if (descriptor > highest + MAX_GAP) break;
      const name = this.#nameOf(descriptor);
      if (name === undefined) continue;
      highest = Math.max(highest, descriptor);
      // Two connections of one address and port are to two ports of ours: better none than the wrong.
      this.#descriptors.set(name, this.#descriptors.has(name) ? undefined : descriptor);
      found(name, descriptor);
    }
  }

  #nameOf(descriptor: number): string | undefined {
    this.#length[0] = MAX_SOCKADDR_BYTES;
    const { getpeername } = this.#library.symbols;
    const isNone = getpeername(descriptor, this.#address, this.#lengthBytes) !== 0;
    return isNone ? undefined : keyOf(this.#addressView);
  }
}

/**
 * Opens the sockets of this process.
 *
 * @returns nothing where that is not allowed or not possible; nobody is asked
 */
export function openPeerSockets(): PeerSockets | undefined {
  const library = openLibc(SYMBOLS);
  return library && new LibcSockets(library);
}
