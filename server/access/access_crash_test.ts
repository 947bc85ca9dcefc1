import assert from "node:assert/strict";
import { signToken } from "../auth/token.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { ServerProcess } from "../testing/process.ts";
import { SCHEMA, SECRET } from "../testing_server.ts";

const PHONES = 40;
const KILLS = 10;
const TIMEOUT_MS = 120_000;

/** Sends a request until it is answered; a server that is killed answers when it is there again. */
async function sendUntilAnswered(server: ServerProcess, path: string, request: RequestInit) {
  for (const untilMs = Date.now() + TIMEOUT_MS; Date.now() < untilMs;) {
    try {
      const response = await fetch(server.url + path, request);
      if (response.status < 500) return response;
      await response.body?.cancel();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("The server did not answer");
}

Deno.test("G2: denials by key have one effect each, told once by the audit log, however often the server is killed", async () => {
  await using folder = await tempFolder();
  await using server = new ServerProcess({ data: folder.path, secret: SECRET });
  await server.start();
  const token = await signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const put = { method: "PUT", headers, body: JSON.stringify(SCHEMA) };
  const schema = await sendUntilAnswered(server, "/v1/admin/schema/default", put);
  assert.equal(schema.status, 200, await schema.text());

  const change = async (key: string, what: "deny" | "undeny", client: string) => {
    const response = await sendUntilAnswered(server, "/v1/admin/access/default", {
      method: "POST",
      headers: { ...headers, "Idempotency-Key": key },
      body: JSON.stringify({ [what]: { clients: [client] } }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  };
  // Each phone is denied and let in again, and every second one is denied once more at the end.
  const steps = (phone: number) => (phone % 2 === 0 ? 3 : 2);
  let answered = 0;
  const texts = new Map<string, string>();
  let isKilling = true;
  const killing = (async () => {
    for (let kill = 1; kill <= KILLS && isKilling; kill++) {
      const at = answered + 1 + Math.floor(Math.random() * PHONES / 4);
      while (answered < at && isKilling) await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      await server.kill();
      await server.start();
    }
  })();
  await Promise.all(Array.from({ length: PHONES }, async (_, phone) => {
    for (let step = 0; step < steps(phone); step++) {
      const key = `${phone}-${step}`;
      texts.set(key, await change(key, step % 2 === 0 ? "deny" : "undeny", `phone-${phone}`));
      answered++;
    }
  }));
  isKilling = false;
  await killing;

  // Keys that come again change nothing, and are answered as before.
  for (const [key, text] of texts) {
    const [phone = "", step] = key.split("-");
    assert.equal(
      await change(key, Number(step) % 2 === 0 ? "deny" : "undeny", `phone-${phone}`),
      text,
    );
  }
  const state = await sendUntilAnswered(server, "/v1/admin/access/default", { headers });
  const denied = Array.from({ length: PHONES / 2 }, (_, i) => `phone-${2 * i}`).sort();
  assert.deepEqual((await state.json()).deny.clients, denied);

  const counts = new Map<string, number>();
  let cursor = "";
  do {
    const query = `what=access.change&limit=1000${cursor && `&cursor=${cursor}`}`;
    const response = await sendUntilAnswered(server, `/v1/admin/audit?${query}`, { headers });
    const page = await response.json();
    for (const { outcome, details } of page.entries) {
      if (outcome !== "done") continue;
      const name = JSON.stringify(details);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    cursor = page.cursor ?? "";
  } while (cursor !== "");
  for (let phone = 0; phone < PHONES; phone++) {
    const deny = { denied: 1, undenied: 0, "deny.clients": [`phone-${phone}`] };
    const undeny = { denied: 0, undenied: 1, "undeny.clients": [`phone-${phone}`] };
    assert.equal(counts.get(JSON.stringify(deny)), steps(phone) - 1, `denials of ${phone}`);
    assert.equal(counts.get(JSON.stringify(undeny)), 1, `undenials of ${phone}`);
  }
});
