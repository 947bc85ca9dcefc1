import assert from "node:assert/strict";
import { ServerProcess } from "../testing/process.ts";
import { signToken } from "../auth/token.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { insert, SCHEMA, SECRET } from "../testing_server.ts";

const REQUESTS = 2_000;
const KEYS = 400;
const PARALLEL = 75;
const TIMEOUT_MS = 120_000;

interface Answered {
  readonly key: number;
  readonly replayed: boolean;
  readonly text: string;
}

/** Sends a request until it is answered; a server that is killed answers when it is there again. */
async function sendUntilAnswered(url: string, request: RequestInit): Promise<Response> {
  for (const untilMs = Date.now() + TIMEOUT_MS; Date.now() < untilMs;) {
    try {
      const response = await fetch(url, request);
      if (response.status < 500) return response;
      await response.body?.cancel();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("The server did not answer");
}

/** Sends 2,000 requests with 400 keys, 75 at a time; `onAnswer` is told how many were answered. */
async function sendAll(
  url: string,
  requestOf: (key: number) => RequestInit,
  onAnswer: (count: number) => void = () => {},
): Promise<readonly Answered[]> {
  const order = Array.from({ length: REQUESTS }, (_, n) => (n * 7919) % KEYS);
  const answers: Answered[] = [];
  const worker = async () => {
    for (let key = order.pop(); key !== undefined; key = order.pop()) {
      const response = await sendUntilAnswered(url, requestOf(key));
      const text = await response.text();
      assert.equal(response.status, 200, text);
      const replayed = response.headers.get("Idempotency-Replayed") === "true";
      answers.push({ key, replayed, text });
      onAnswer(answers.length);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return answers;
}

/** Fails unless all answers of a key are the same, and one of each is no replay. */
function assertOneEach(answers: readonly Answered[]): void {
  assert.equal(answers.length, REQUESTS);
  const texts = new Map<number, string>();
  for (const { key, text } of answers) {
    assert.equal(text, texts.get(key) ?? text);
    texts.set(key, text);
  }
  assert.equal(texts.size, KEYS);
  assert.equal(answers.filter(({ replayed }) => !replayed).length, KEYS);
}

async function withProcess(
  test: (server: ServerProcess, headers: Record<string, string>) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  await using server = new ServerProcess({ data: folder.path, secret: SECRET });
  await server.start();
  const token = await signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const body = JSON.stringify(SCHEMA);
  const put = await fetch(`${server.url}/v1/admin/schema/default`, {
    method: "PUT",
    headers,
    body,
  });
  assert.equal(put.status, 200, await put.text());
  await test(server, headers);
}

function pushOf(headers: Record<string, string>, key: number): RequestInit {
  return {
    method: "POST",
    headers: { ...headers, "Idempotency-Key": `push-${key}` },
    body: JSON.stringify(insert(`phone-${key}`, 1, `row-${key}`)),
  };
}

async function seqOf({ url }: ServerProcess, headers: Record<string, string>): Promise<string> {
  const stats = await fetch(`${url}/v1/admin/stats/default`, { headers });
  return (await stats.json()).seq;
}

Deno.test("G2: 2,000 pushes with 400 keys, 75 at a time, have 400 effects", () =>
  withProcess(async (server, headers) => {
    const url = `${server.url}/v1/sync/default/push`;
    assertOneEach(await sendAll(url, (key) => pushOf(headers, key)));
    assert.equal(await seqOf(server, headers), String(KEYS));
  }));

Deno.test("G2: 2,000 pushes with 400 keys have 400 effects also when the server is killed", () =>
  withProcess(async (server, headers) => {
    const url = `${server.url}/v1/sync/default/push`;
    let again = Promise.resolve();
    const answers = await sendAll(url, (key) => pushOf(headers, key), (count) => {
      if (count % 600 !== 300) return;
      again = again.then(() => server.kill()).then(async () => void await server.start());
    });
    await again;
    assert.equal(await seqOf(server, headers), String(KEYS));
    const texts = new Map(answers.map(({ key, text }) => [key, text]));
    for (const { key, text } of answers) assert.equal(text, texts.get(key));
  }));

Deno.test("G2: 2,000 flushes with 400 keys, 75 at a time, have 400 effects", () =>
  withProcess(async (server, headers) => {
    const url = `${server.url}/v1/admin/flush/default`;
    const answers = await sendAll(url, (key) => ({
      method: "POST",
      headers: { ...headers, "Idempotency-Key": `flush-${key}` },
    }));
    assertOneEach(answers);
  }));
