/**
 * A gateway with one destination, to which a test writes.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { DestinationSpec } from "@lakesync/server";
import { insert, type TestServer, withServer } from "../../server/testing_server.ts";

/** A gateway with the table `todos`. */
export class Site {
  readonly #server: TestServer;
  #written = 0;

  private constructor(server: TestServer) {
    this.#server = server;
  }

  /**
   * Runs a test with a gateway.
   *
   * @param destination where it flushes to
   * @param test the test
   */
  static async with(
    destination: DestinationSpec,
    test: (site: Site) => Promise<void>,
  ): Promise<void> {
    await withServer((server) => test(new Site(server)), true, true, {
      destinations: { shop: destination },
    });
  }

  /** Writes a todo for each title. */
  async write(...titles: readonly string[]): Promise<void> {
    for (const title of titles) {
      const body = insert("phone", ++this.#written, `t${this.#written}`, title);
      const { status } = await this.#server.json("/v1/sync/default/push", {
        token: this.#server.alice,
        body,
      });
      assert.equal(status, 200);
    }
  }

  /** Flushes, until everything has arrived. */
  async flush(): Promise<void> {
    const { status, body } = await this.#server.json("/v1/admin/flush/default", {
      token: this.#server.admin,
      method: "POST",
    });
    assert.equal(status, 200, JSON.stringify(body));
    const [{ flushed = false } = {}] = body["destinations"] as { readonly flushed?: boolean }[];
    assert.ok(flushed, JSON.stringify(body));
  }

  /** How the destination stands, once it is in a state. */
  async until(state: string): Promise<string> {
    for (;;) {
      const { body } = await this.#server.json("/v1/admin/destinations/default", {
        token: this.#server.admin,
      });
      const [found] = body["destinations"] as {
        readonly state: string;
        readonly lastError?: { readonly message: string };
      }[];
      if (found?.state === state) return found.lastError?.message ?? "";
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
