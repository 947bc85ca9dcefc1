import { TrustingWebSocket } from "../testing_live.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type RunningServer, startServer } from "../server.ts";
import { memoryStores } from "../store/memory.ts";
import { SECRET, tokenFor } from "../testing_server.ts";
import { WatchedTls } from "./certificate_files.ts";
import { hasOpenssl, type TestCertificates, withCertificates } from "./testing_certificates.ts";

const ignore = !await hasOpenssl();

async function withTls(
  test: (server: RunningServer, certificates: TestCertificates) => Promise<void>,
): Promise<void> {
  await withCertificates(["one", "two"], async (certificates) => {
    const { folder } = certificates;
    const server = await startServer({
      stores: memoryStores(),
      trust: { secrets: [SECRET] },
      port: 0,
      openAccess: true,
      tls: { certPath: join(folder, "server.pem"), keyPath: join(folder, "server.key") },
    });
    try {
      await test(server, certificates);
    } finally {
      await server.close();
    }
  });
}

/** The common name of the certificate that a new connection is shown. */
function shown(port: number, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls(
      { host: "127.0.0.1", port, ca, servername: "localhost" },
      () => {
        const { CN } = socket.getPeerCertificate().subject;
        socket.destroy();
        resolve(String(CN));
      },
    );
    socket.on("error", reject);
  });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!await condition()) {
    assert.ok(Date.now() < end, "It did not come in time");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A live connection by wss that answers pings. */
async function openSocket(server: RunningServer, client: Deno.HttpClient) {
  const url = `wss://localhost:${server.port}/v1/sync/default`;
  const protocols = ["lakesync.v1+json", `bearer.${await tokenFor("alice")}`];
  const socket = new TrustingWebSocket(url, { protocols, client });
  let closed: number | undefined;
  const frames: string[] = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => {
    frames.push(String(data));
    wake();
  };
  socket.onclose = ({ code }) => {
    closed = code;
    wake();
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const ask = async (frame: object, answer: string) => {
    socket.send(JSON.stringify(frame));
    while (!frames.some((text) => Object.hasOwn(JSON.parse(text), answer))) {
      assert.equal(closed, undefined);
      await new Promise<void>((resolve) => wake = resolve);
    }
    frames.length = 0;
  };
  await ask({ hello: { clientId: "phone-1", schemaVersion: 1 } }, "welcome");
  return {
    ping: () => ask({ ping: {} }, "pong"),
    close: async () => {
      const gone = new Promise<void>((resolve) => socket.onclose = () => resolve());
      socket.close();
      await gone;
    },
  };
}

Deno.test({
  name: "a new certificate is shown to new connections, and cuts neither sockets nor requests",
  ignore,
  fn: () =>
    withTls(async (server, { ca, use }) => {
      const client = Deno.createHttpClient({ caCerts: [ca] });
      assert.match(server.url, /^https:/);
      assert.equal(await shown(server.port, ca), "one");
      const socket = await openSocket(server, client);
      const get = async (path: string) => {
        const response = await fetch(`https://localhost:${server.port}${path}`, { client });
        await response.body?.cancel();
        return response;
      };
      const first = await get("/livez");
      assert.match(first.headers.get("Strict-Transport-Security") ?? "", /max-age=\d+/);
      let asking = true;
      let answers = 0;
      const asked = (async () => {
        while (asking) {
          assert.equal((await get("/livez")).status, 200);
          const fresh = Deno.createHttpClient({ caCerts: [ca] });
          const response = await fetch(`https://localhost:${server.port}/livez`, { client: fresh });
          assert.equal(response.status, 200);
          await response.body?.cancel();
          fresh.close();
          answers++;
        }
      })();
      await use("two");
      await until(async () => await shown(server.port, ca) === "two");
      await socket.ping();
      asking = false;
      await asked;
      assert.ok(answers > 10, `${answers}`);
      await socket.ping();
      await socket.close();
      client.close();
    }),
});

Deno.test({
  name:
    "what does not fit together changes nothing until it does, and keeps a server from starting",
  ignore,
  fn: () =>
    withCertificates(["one", "two"], async ({ folder, ca, use }) => {
      const files = { certPath: join(folder, "server.pem"), keyPath: join(folder, "server.key") };
      const tls = await WatchedTls.open(files);
      const stop = new AbortController();
      const server = tls.serve(
        { hostname: "127.0.0.1", port: 0, signal: stop.signal },
        (_, { remoteAddr }) => new Response(String(remoteAddr.port)),
      );
      const { port } = server.addr;
      const changes = [
        () => use("two", "key"),
        () => Deno.writeTextFile(files.certPath, "no certificate"),
        () => Deno.remove(files.certPath),
      ];
      for (const change of changes) {
        await change();
        await tls.look();
        assert.equal(await shown(port, ca), "one");
      }
      const refused = async (path: string, what: RegExp) => {
        const error = await WatchedTls.open(files).then(() => {}, (error) => error);
        assert.equal(error?.code, "VALIDATION_ERROR");
        assert.ok(error.message.includes(path), error.message);
        assert.match(error.message, what);
      };
      await refused(files.certPath, /There is no file /);
      await use("one", "cert");
      await refused(files.keyPath, /server\.key does not fit the first certificate in .*\.pem$/);
      await Deno.writeTextFile(files.keyPath, "no key");
      await refused(files.keyPath, /server\.key holds no private key as PEM/);
      await Deno.writeTextFile(files.certPath, "no certificate");
      await refused(files.certPath, /server\.pem holds no certificate as PEM/);
      await use("two");
      await tls.look();
      assert.equal(await shown(port, ca), "two");
      assert.equal(await seenPort(port, ca), true);
      await tls.close();
      await server.shutdown();
    }),
});

Deno.test({
  name: "the server of a certificate that was replaced ends with its last connection, not before",
  ignore,
  fn: () =>
    withCertificates(["one", "two"], async ({ folder, ca, use }) => {
      const files = { certPath: join(folder, "server.pem"), keyPath: join(folder, "server.key") };
      const tls = await WatchedTls.open(files);
      const behind: Promise<void>[] = [];
      const original = Deno.serve;
      const recorded = ((...args: Parameters<typeof Deno.serve>) => {
        const server = original(...args);
        behind.push(server.finished);
        return server;
      }) as typeof Deno.serve;
      Object.assign(Deno, { serve: recorded });
      try {
        const { signal } = new AbortController();
        const server = tls.serve({ port: 0, signal }, () => new Response("here"));
        const client = Deno.createHttpClient({ caCerts: [ca], http2: false });
        const url = `https://localhost:${server.addr.port}/`;
        const get = async () => await (await fetch(url, { client })).text();
        assert.equal(await get(), "here");
        await use("two");
        await tls.look();
        assert.equal(await shown(server.addr.port, ca), "two");
        assert.equal(behind.length, 2);
        const early = Promise.resolve("it goes on");
        assert.equal(await Promise.race([behind[0], early]), "it goes on");
        assert.equal(await get(), "here");
        client.close();
        await behind[0];
        assert.equal(await Promise.race([behind[1], early]), "it goes on");
        await tls.close();
        await server.shutdown();
      } finally {
        Object.assign(Deno, { serve: original });
      }
    }),
});

/** Whether a server tells the port that it was asked from. */
function seenPort(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls(
      { host: "127.0.0.1", port, ca, servername: "localhost" },
      () => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    );
    let text = "";
    socket.on("data", (data) => text += data.toString());
    socket.on("end", () => resolve(text.endsWith(`\r\n\r\n${socket.localPort}`)));
    socket.on("error", reject);
  });
}

Deno.test({
  name: "what comes in large goes through both ways",
  ignore,
  fn: () =>
    withTls(async (server, { ca }) => {
      const client = Deno.createHttpClient({ caCerts: [ca] });
      const token = await tokenFor("root", "*", "admin");
      const deltas = Array.from({ length: 5_000 }, (_, i) => ({
        op: "INSERT",
        table: "todos",
        rowId: `t${i}`,
        columns: { title: "x".repeat(200) },
      }));
      const ask = async (method: string, path: string, body?: object) => {
        const response = await fetch(`https://localhost:${server.port}${path}`, {
          client,
          method,
          headers: { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const answer = await response.json();
        assert.equal(response.status, 200, JSON.stringify(answer).slice(0, 300));
        return answer;
      };
      await ask("PUT", "/v1/admin/schema/default", {
        version: 1,
        tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
      });
      await ask("POST", "/v1/sync/default/push", {
        clientId: "a",
        schemaVersion: 1,
        transactions: [{ mutationId: 1, deltas }],
      });
      const { changes } = await ask("GET", "/v1/sync/default/pull?clientId=b&limit=10000");
      assert.equal(changes.length, 5_000);
      client.close();
    }),
});
