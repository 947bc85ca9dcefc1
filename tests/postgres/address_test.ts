import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import { connect, createServer, type ListenOptions } from "node:net";
import { databaseTest } from "../servers/tests.ts";

/** Lets the server of an address be reached elsewhere too. */
async function forward(url: URL, at: ListenOptions): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((from) => {
    const to = connect({ host: url.hostname, port: Number(url.port) });
    from.pipe(to).pipe(from);
    from.on("error", () => to.destroy());
    to.on("error", () => from.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

async function reach(url: string): Promise<void> {
  const adapter = postgresAdapter({ url, connectionTimeoutMs: 5_000 });
  try {
    await adapter.ensureSchema({ version: 1, tables: [] });
    assert.equal(await adapter.position(), undefined);
  } finally {
    await adapter.close();
  }
}

databaseTest("postgres", "a server is reached by its IPv6 address", async ({ url }) => {
  if (!Deno.networkInterfaces().some(({ address }) => address === "::1")) {
    console.log("skipped: this machine has no ::1");
    return;
  }
  const to = new URL(url);
  await using v6 = await forward(to, { host: "::1", port: 0 });
  await reach(`postgres://${to.username}:${to.password}@[::1]:${v6.port}${to.pathname}`);
});

databaseTest("postgres", "a server is reached by the folder of its socket", async ({ url }) => {
  const to = new URL(url);
  const folder = await Deno.makeTempDir();
  try {
    await using _socket = await forward(to, { path: `${folder}/.s.PGSQL.5433` });
    const query = `host=${encodeURIComponent(folder)}&application_name=test`;
    await reach(`postgres://${to.username}:${to.password}@localhost:5433${to.pathname}?${query}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an address that no driver can read is refused at once", () => {
  for (const url of ["postgres://a:50%@h/d", "postgres://a@h/d?sslmode=verify"]) {
    assert.throws(
      () => postgresAdapter({ url }),
      (error) => error instanceof DestinationError && error.retry === "stop",
    );
  }
});
