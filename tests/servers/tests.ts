/**
 * Tests on real database servers, in one line each: skipped, with the reason, where there is none.
 *
 * @module
 */

import type { Found, Missing } from "./find.ts";
import { findMariadb, startMariadb } from "./mariadb.ts";
import { findPostgres, startPostgres } from "./postgres.ts";
import type { DatabaseServer, ServerOptions } from "./server.ts";

/** The products that tests run on. */
export type Product = "postgres" | "mariadb";

/** What a test gets. */
export interface DatabaseTest {
  /** An empty database of the test's own: its address with an administrator's name and password. */
  readonly url: string;
  /** The server it is on. */
  readonly server: DatabaseServer;
}

/** How a test is run. */
export interface DatabaseTestOptions {
  /**
   * Starts a server for this test alone, durable unless told otherwise. Tests that kill, restart or
   * set up a server need that: all others of a file share one, which is not durable.
   */
  readonly own?: ServerOptions;
}

const START = { postgres: startPostgres, mariadb: startMariadb };

const [postgres, mariadb] = await Promise.all([findPostgres(), findMariadb()]);
const FOUND: Readonly<Record<Product, Found | Missing>> = { postgres, mariadb };

const shared = new Map<Product, DatabaseServer>();
const sharing = new Set<Product>();
const told = new Set<Product>();

/**
 * Whether tests on a product are to be skipped, for tests that start servers themselves; prints the
 * reason, once a file.
 *
 * @param product which one
 */
export function isMissing(product: Product): boolean {
  const found = FOUND[product];
  if (!("missing" in found)) return false;
  if (!told.has(product)) console.log(`skipped: ${found.missing}`);
  told.add(product);
  return true;
}

/**
 * Registers a test on a real server.
 *
 * @param product which one
 * @param name the test's name; the product is added to it
 * @param run the test
 * @param options how it is run
 *
 * @example
 * ```ts ignore
 * databaseTest("postgres", "G10: a flush is written once", async ({ url }) => {
 *   const sql = postgres(url);
 *   await sql.end();
 * });
 * ```
 */
export function databaseTest(
  product: Product,
  name: string,
  run: (test: DatabaseTest) => Promise<void>,
  options: DatabaseTestOptions = {},
): void {
  const ignore = isMissing(product);
  const { own } = options;
  if (!ignore && own === undefined) share(product);
  Deno.test({
    name: `${name} (${product})`,
    ignore,
    fn: async () => {
      if (own !== undefined) {
        await using server = await START[product](own);
        await run({ server, url: await server.createDatabase() });
        return;
      }
      const server = shared.get(product);
      if (server === undefined) throw new Error(`The ${product} of this file did not start`);
      await run({ server, url: await server.createDatabase() });
    },
  });
}

/** Has a server started before the tests of this file and stopped after them. */
function share(product: Product): void {
  if (sharing.has(product)) return;
  sharing.add(product);
  Deno.test.beforeAll(async () => {
    shared.set(product, await START[product]({ durable: false }));
  });
  Deno.test.afterAll(async () => {
    await shared.get(product)?.stop();
  });
}
