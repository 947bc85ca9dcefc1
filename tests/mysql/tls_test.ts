import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import { mysqlAdapter, type MysqlOptions } from "@lakesync/adapters/mysql";
import { startMariadb } from "../servers/mariadb.ts";
import { isMissing } from "../servers/tests.ts";

/** Makes a certificate for a name, and one of who signs it; undefined where there is no openssl. */
async function certificates(folder: string, name: string): Promise<string | undefined> {
  const run = async (...args: readonly string[]) => {
    const command = new Deno.Command("openssl", { args: [...args], cwd: folder, stderr: "null" });
    assert.ok((await command.output()).success, args.join(" "));
  };
  try {
    const key = (file: string) => ["-newkey", "rsa:2048", "-nodes", "-keyout", file];
    await run("req", "-x509", ...key("ca.key"), "-out", "ca.pem", "-days", "2", "-subj", "/CN=CA");
    await run("req", ...key("key.pem"), "-out", "req.pem", "-subj", `/CN=${name}`);
    await Deno.writeTextFile(`${folder}/ext`, `subjectAltName=DNS:${name}`);
    const sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    await run("x509", "-req", "-in", "req.pem", ...sign, "-extfile", "ext", "-out", "cert.pem");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  await Deno.chmod(folder, 0o755);
  for (const file of ["ca.pem", "cert.pem", "key.pem"]) {
    await Deno.chmod(`${folder}/${file}`, 0o644);
  }
  return await Deno.readTextFile(`${folder}/ca.pem`);
}

async function outcome(options: MysqlOptions): Promise<string> {
  const adapter = mysqlAdapter(options);
  try {
    await adapter.position();
    return "in";
  } catch (error) {
    assert.ok(error instanceof DestinationError);
    return error.message;
  } finally {
    await adapter.close();
  }
}

for (const [name, isRight] of [["localhost", true], ["other.example", false]] as const) {
  Deno.test({
    name: `a server whose certificate is for ${name} is ${isRight ? "" : "not "}trusted (mariadb)`,
    ignore: isMissing("mariadb"),
    async fn() {
      const folder = await Deno.makeTempDir();
      try {
        const ca = await certificates(folder, name);
        if (ca === undefined) return console.log("skipped: there is no openssl");
        await using server = await startMariadb({
          durable: false,
          settings: {
            "ssl-cert": `${folder}/cert.pem`,
            "ssl-key": `${folder}/key.pem`,
            "require-secure-transport": "ON",
          },
        });
        const url = server.url.replace("127.0.0.1", "localhost");
        assert.notEqual(await outcome({ url }), "in");
        assert.equal(await outcome({ url: `${url}?ssl-mode=REQUIRED` }), "in");
        assert.equal(await outcome({ url, tls: { verify: false } }), "in");
        assert.match(await outcome({ url, tls: true }), /certificate/);
        const trusting = await outcome({ url, tls: { ca } });
        if (isRight) assert.equal(trusting, "in");
        else assert.match(trusting, /does not match certificate/);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}
