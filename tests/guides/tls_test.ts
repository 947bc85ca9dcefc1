import assert from "node:assert/strict";
import { type DatabaseAdapter, DestinationError } from "@lakesync/adapters";
import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import { serverUser } from "../servers/find.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { startPostgres } from "../servers/postgres.ts";
import { isMissing } from "../servers/tests.ts";
import { addressOf } from "./guide.ts";

/** Certificates of a server called localhost, in a folder that the server may read. */
async function certificates(users: readonly string[]): Promise<{ folder: string; ca: string }> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-tls-" });
  const script = `
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    printf 'subjectAltName=DNS:localhost' > names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\
      -extfile names -out server.pem
    chmod 600 server.key`;
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-ec", script],
    cwd: folder,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const user = await serverUser(users);
  if (user !== undefined) {
    for (const path of ["", "/server.key", "/server.pem"]) {
      await Deno.chown(`${folder}${path}`, user.uid, user.gid);
    }
  }
  return { folder, ca: await Deno.readTextFile(`${folder}/ca.pem`) };
}

const NOT_AN_IP = /must have the server's name as its certificate has it, not an IP address/;

/** Whether an adapter gets in. */
async function getsIn(adapter: DatabaseAdapter): Promise<boolean> {
  try {
    await adapter.position();
    return true;
  } catch (error) {
    assert.ok(error instanceof DestinationError);
    return false;
  } finally {
    await adapter.close();
  }
}

function named(url: string, host: string, query: string): string {
  const other = new URL(addressOf(url, {}));
  other.hostname = host;
  other.search = query;
  return other.href;
}

Deno.test({
  name: "connections are encrypted and checked as the guide says (postgres)",
  ignore: isMissing("postgres"),
  fn: async () => {
    const { folder, ca } = await certificates(["postgres", "nobody"]);
    try {
      await using server = await startPostgres({
        durable: false,
        settings: {
          ssl: "on",
          ssl_cert_file: `${folder}/server.pem`,
          ssl_key_file: `${folder}/server.key`,
          listen_addresses: "127.0.0.1",
        },
      });
      const url = (mode: string, host = "localhost") =>
        named(server.url, host, mode === "" ? "" : `sslmode=${mode}`);
      const modes = ["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
      const gotIn = [];
      for (const mode of modes) gotIn.push(await getsIn(postgresAdapter({ url: url(mode) })));
      assert.deepEqual(gotIn, [true, true, true, true, true, false, false]);
      assert.equal(await getsIn(postgresAdapter({ url: url(""), tls: { ca } })), true);
      assert.equal(await getsIn(postgresAdapter({ url: url(""), tls: true })), false);
      const other = url("", "127.0.0.1");
      assert.throws(() => postgresAdapter({ url: other, tls: { ca } }), NOT_AN_IP);
      assert.throws(() => postgresAdapter({ url: url("verify-full", "127.0.0.1") }), NOT_AN_IP);
      assert.equal(await getsIn(postgresAdapter({ url: other, tls: { verify: false } })), true);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "connections are encrypted and checked as the guide says (mariadb)",
  ignore: isMissing("mariadb"),
  fn: async () => {
    const { folder, ca } = await certificates(["mysql", "nobody"]);
    try {
      await using server = await startMariadb({
        durable: false,
        settings: {
          "ssl-cert": `${folder}/server.pem`,
          "ssl-key": `${folder}/server.key`,
          "require-secure-transport": "ON",
        },
      });
      const url = (mode: string, host = "localhost") =>
        named(server.url, host, mode === "" ? "" : `ssl-mode=${mode}`);
      const modes = ["", "DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];
      const gotIn = [];
      for (const mode of modes) gotIn.push(await getsIn(mysqlAdapter({ url: url(mode) })));
      assert.deepEqual(gotIn, [false, false, true, false, false]);
      assert.equal(await getsIn(mysqlAdapter({ url: url(""), tls: { ca } })), true);
      assert.equal(await getsIn(mysqlAdapter({ url: url(""), tls: true })), false);
      const other = url("", "127.0.0.1");
      assert.throws(() => mysqlAdapter({ url: other, tls: { ca } }), NOT_AN_IP);
      assert.equal(await getsIn(mysqlAdapter({ url: other, tls: { verify: false } })), true);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
