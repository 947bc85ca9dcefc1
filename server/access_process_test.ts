import { TrustingWebSocket } from "./testing_live.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { ServerProcess } from "./testing/process.ts";
import { SECRET } from "./testing_server.ts";
import { hasOpenssl, withCertificates } from "./tls/testing_certificates.ts";

const MAIN = new URL("main.ts", import.meta.url).pathname;

/** Runs the command; gives what it prints, and what it tells people. */
async function outputOf(...args: string[]): Promise<readonly [data: string, notes: string]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const [data, notes] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  assert.ok(success, notes);
  return [data ?? "", notes ?? ""];
}

/** Runs the command; gives what it prints. */
async function lakesync(...args: string[]): Promise<string> {
  return (await outputOf(...args))[0];
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-keys-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("keys are rotated and withdrawn, and a phone is kept out, while the server runs", () =>
  withFolder(async (folder) => {
    const data = join(folder, "data");
    await using server = await new ServerProcess({ data, secret: SECRET }).start();
    const pull = async (token: string, clientId = "phone-1") => {
      const response = await fetch(`${server.url}/v1/sync/default/pull?clientId=${clientId}`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      await response.body?.cancel();
      return response.status;
    };
    const first = await lakesync("token", "--sub", "alice", "--data", data, "--secret", SECRET);
    let going = true;
    const asking = (async () => {
      let asked = 0;
      for (; going; asked++) assert.equal(await pull(first, "tablet"), 200);
      return asked;
    })();
    const kid = await lakesync("keys", "rotate", "--data", data, "--secret", SECRET);
    const second = await lakesync("token", "--sub", "alice", "--data", data, "--secret", SECRET);
    assert.equal(JSON.parse(atob(second.split(".")[0] ?? "")).kid, kid);
    assert.equal(await pull(second), 200);
    const list = await lakesync("keys", "list", "--data", data, "--secret", SECRET);
    assert.match(list, /^secret +HS256 +checks until/m);
    assert.match(list, new RegExp(`^${kid} +HS256 +signs`, "m"));
    assert.ok(!list.includes(SECRET));
    const at = ["--url", server.url, "--data", data];
    const empty = ["", "lakesync: Nobody and nothing is kept out of the gateway default"];
    assert.deepEqual(await outputOf("access", "list", ...at), empty);
    assert.equal(
      await lakesync("access", "deny", ...at, "--client", "phone-1"),
      'denied   client "phone-1"',
    );
    assert.equal(await pull(second), 403);
    assert.match((await outputOf("access", "list", ...at)).join("|"), /^denied .*"\|$/);
    assert.deepEqual(await outputOf("access", "allow", ...at, "--client", "phone-1"), empty);
    assert.equal(await pull(second), 200);
    going = false;
    assert.ok(await asking > 20);
    const next = await lakesync("keys", "retire", kid, "--data", data);
    assert.notEqual(next, kid);
    const end = Date.now() + 1_000;
    while (await pull(second) !== 401) assert.ok(Date.now() < end, "It is still trusted");
    assert.equal(await pull(first), 200);
    assert.equal(await pull(await lakesync("token", "--sub", "alice", "--data", data)), 200);
    assert.match(await lakesync("audit", "--url", server.url, "--data", data), /keys\.change/);
  }));

Deno.test({
  name: "the command serves https, wss and the origins of its flags, and ends them in order",
  ignore: !await hasOpenssl(),
  fn: () =>
    withCertificates(["one"], ({ folder, ca }) =>
      withFolder(async (data) => {
        const args = [
          ...["--tls-cert", join(folder, "server.pem"), "--tls-key", join(folder, "server.key")],
          ...["--cors-origins", "https://app.example,http://localhost:5173"],
        ];
        await using server = await new ServerProcess({ data, secret: SECRET, args }).start();
        assert.match(server.url, /^https:/);
        const key = ["--data", data, "--secret", SECRET];
        await assert.rejects(
          lakesync("access", "list", "--url", server.url, ...key),
          /The certificate of https:\S+ is not trusted \(\w+.*DENO_CERT/,
        );
        await assert.rejects(
          lakesync("access", "list", "--url", server.url.replace("https", "http"), ...key),
          /does not speak HTTP, is it https/,
        );
        const client = Deno.createHttpClient({ caCerts: [ca] });
        const response = await fetch(`${server.url.replace("127.0.0.1", "localhost")}/livez`, {
          client,
          headers: { Origin: "https://app.example" },
        });
        assert.equal(response.status, 200);
        await response.body?.cancel();
        assert.equal(response.headers.get("Access-Control-Allow-Origin"), "https://app.example");
        assert.match(response.headers.get("Strict-Transport-Security") ?? "", /max-age/);
        const url = `${server.url.replace("https://127.0.0.1", "wss://localhost")}/v1/sync/default`;
        const token = await lakesync("token", "--sub", "a", "--data", data, "--secret", SECRET);
        const socket = new TrustingWebSocket(url, {
          protocols: ["lakesync.v1+json", `bearer.${token}`],
          client,
        });
        const closed = new Promise<number>((resolve, reject) => {
          socket.onclose = ({ code }) => resolve(code);
          socket.onerror = reject;
        });
        await new Promise((resolve) => socket.onopen = resolve);
        assert.equal(await server.stop(), 0);
        assert.equal(await closed, 1012);
        client.close();
      })),
});
