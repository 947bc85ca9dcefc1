/**
 * Two network namespaces with a line between them that can be taken down, made deaf in one
 * direction, and made lossy; one for a server, one for clients. A second line, which stays, leads
 * from the test to the server. Needs root.
 *
 * @module
 */

import { run } from "../gate/process.ts";

/** The server's address on the line to the clients, and on the line to the test. */
interface Addresses {
  readonly server: string;
  readonly clients: string;
  readonly serverForTest: string;
  readonly test: string;
}

/** A network card's address that nobody has: what is sent there is sent in vain. */
const NOBODY = "02:00:00:00:00:01";

/** How the line between server and clients is broken. */
export type Break =
  /** It is down, and both ends know. */
  | "down"
  /** Nothing that clients send arrives. */
  | "server deaf"
  /** Nothing that the server sends arrives. */
  | "clients deaf";

async function ip(...args: readonly string[]): Promise<void> {
  const { success, output } = await run(["ip", ...args]);
  if (!success) throw new Error(`ip ${args.join(" ")}: ${output.trim()}`);
}

/** Two namespaces. */
export class Namespaces implements AsyncDisposable {
  readonly #id: string;
  readonly #addresses: Addresses;

  private constructor(id: string, addresses: Addresses) {
    this.#id = id;
    this.#addresses = addresses;
  }

  /**
   * Makes them.
   *
   * @throws {Error} with what the system said, when it does not allow that
   */
  static async make(): Promise<Namespaces> {
    const id = crypto.randomUUID().slice(0, 8);
    const [second = 0, third = 0] = crypto.getRandomValues(new Uint8Array(2));
    // A range for tests between networks, 198.18.0.0/15, of which two nets of four are taken.
    const net = `198.${18 + (second & 1)}.${third}`;
    const namespaces = new Namespaces(id, {
      server: `${net}.1`,
      clients: `${net}.2`,
      serverForTest: `${net}.5`,
      test: `${net}.6`,
    });
    try {
      await namespaces.#build();
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw error;
    }
    return namespaces;
  }

  get #server(): string {
    return `lakesync-${this.#id}-server`;
  }

  get #clients(): string {
    return `lakesync-${this.#id}-clients`;
  }

  /** A device of one of the lines; names are at most 15 characters long. */
  #device(end: "s" | "c" | "k" | "t"): string {
    return `ls${this.#id}${end}`;
  }

  async #build(): Promise<void> {
    const [s, c, k, t] = (["s", "c", "k", "t"] as const).map((end) => this.#device(end));
    if (!s || !c || !k || !t) return;
    const { server, clients, serverForTest, test } = this.#addresses;
    await ip("netns", "add", this.#server);
    await ip("netns", "add", this.#clients);
    const [inServer, inClients] = [["netns", this.#server], ["netns", this.#clients]];
    await ip("link", "add", s, ...inServer, "type", "veth", "peer", "name", c, ...inClients);
    await ip("link", "add", t, "type", "veth", "peer", "name", k, ...inServer);
    const ends = [
      [["-n", this.#server], s, server],
      [["-n", this.#clients], c, clients],
      [["-n", this.#server], k, serverForTest],
      [[], t, test],
    ] as const;
    for (const [where, device, address] of ends) {
      await ip(...where, "address", "add", `${address}/30`, "dev", device);
      await ip(...where, "link", "set", device, "up");
    }
    for (const name of [this.#server, this.#clients]) {
      await ip("-n", name, "link", "set", "lo", "up");
    }
  }

  /** What is put before the server's command. */
  get serverWrapper(): readonly string[] {
    return ["ip", "netns", "exec", this.#server];
  }

  /** What is put before a client's command. */
  get clientWrapper(): readonly [string, ...string[]] {
    return ["ip", "netns", "exec", this.#clients];
  }

  /** The server's address for clients. */
  get serverAddress(): string {
    return this.#addresses.server;
  }

  /** The server's address for the test. */
  get serverAddressForTest(): string {
    return this.#addresses.serverForTest;
  }

  /** Breaks the line between server and clients. */
  async break(how: Break): Promise<void> {
    const { server, clients } = this.#addresses;
    if (how === "down") {
      await ip("-n", this.#server, "link", "set", this.#device("s"), "down");
    } else if (how === "server deaf") await this.#missend(this.#clients, "c", server);
    else await this.#missend(this.#server, "s", clients);
  }

  async #missend(namespace: string, end: "s" | "c", to: string): Promise<void> {
    const device = this.#device(end);
    const entry = [to, "lladdr", NOBODY, "dev", device, "nud", "permanent"];
    await ip("-n", namespace, "neigh", "replace", ...entry);
  }

  /** Mends what {@linkcode Namespaces.break} broke. */
  async mend(how: Break): Promise<void> {
    const { server, clients } = this.#addresses;
    if (how === "down") {
      await ip("-n", this.#server, "link", "set", this.#device("s"), "up");
    } else if (how === "server deaf") {
      await ip("-n", this.#clients, "neigh", "del", server, "dev", this.#device("c"));
    } else await ip("-n", this.#server, "neigh", "del", clients, "dev", this.#device("s"));
  }

  /**
   * Loses packets in both directions.
   *
   * @param percent how many of a hundred
   * @throws {Error} when the kernel cannot
   */
  async lose(percent: number): Promise<void> {
    for (const [namespace, end] of [[this.#server, "s"], [this.#clients, "c"]] as const) {
      const qdisc = ["qdisc", "add", "dev", this.#device(end), "root"];
      const { success, output } = await run(
        ["tc", "-n", namespace, ...qdisc, "netem", "loss", `${percent}%`],
      );
      if (!success) throw new Error(output.trim());
    }
  }

  /** Removes them, and the lines with them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [this.#server, this.#clients]) await run(["ip", "netns", "del", name]);
    await run(["ip", "link", "del", this.#device("t")]);
  }
}
