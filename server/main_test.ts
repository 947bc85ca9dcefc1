import assert from "node:assert/strict";
import { join } from "node:path";
import { createAuthenticator } from "./auth/verify.ts";
import { SCHEMA } from "./testing_server.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const SECRET = "a secret of at least thirty-two characters";

function command(
  cwd: string,
  args: readonly string[],
  permissions: readonly string[] = ["-A"],
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--config", CONFIG, ...permissions, MAIN, ...args],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(cwd: string, ...args: string[]) {
  const { code, stdout, stderr } = await command(cwd, args).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function withFolder(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A command that serves. */
class Serving {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #stderr = "";
  #wake = () => {};

  constructor(cwd: string, args: readonly string[], permissions?: readonly string[]) {
    this.#process = command(cwd, args, permissions).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const { stdout, stderr } = this.#process;
    const discarded = stdout.pipeTo(new WritableStream());
    for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr += text;
      this.#wake();
    }
    await discarded;
  }

  /** What it has printed, once that matches. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stderr);
      if (match !== null) return match;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Sends a signal and gives the exit code. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.#process.kill(signal);
    const { code } = await this.#process.status;
    await this.#reading;
    return code;
  }
}

Deno.test("lakesync tells help and version on standard output", () =>
  withFolder(async (folder) => {
    const help = await run(folder, "--help");
    assert.equal(help.code, 0);
    assert.match(help.stdout, /--jwks-url/);
    assert.equal(help.stderr, "");
    const version = await run(folder, "--version");
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("lakesync ends with 2 after wrong usage and says what is wrong", () =>
  withFolder(async (folder) => {
    for (const args of [["--nonsense"], ["--host", "0.0.0.0"], ["token"]]) {
      const { code, stdout, stderr } = await run(folder, ...args);
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.match(stderr, /^lakesync: .+\nTry lakesync --help\n$/);
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("lakesync serve makes its folder and prints a curl that works when pasted", () =>
  withFolder(async (folder) => {
    const serving = new Serving(folder, ["serve", "--port", "0"]);
    const [curl] = await serving.printed(/^curl [^]*'\n\n/m);
    await serving.printed(/gateway +default/);
    await serving.printed(/development/);
    const { mode } = await Deno.stat(join(folder, "lakesync-data/secret"));
    assert.equal((mode ?? 0) & 0o777, 0o600);
    const paste = () =>
      new Deno.Command("sh", { args: ["-c", curl.replace("curl", "curl -s")] })
        .output();
    for (let i = 0; i < 2; i++) {
      const { stdout } = await paste();
      assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), SCHEMA);
    }
    assert.equal(await serving.end("SIGTERM"), 0);

    const again = new Serving(folder, ["--port", "0"]);
    const [pull] = await again.printed(/^curl [^]*'\n\n/m);
    const { stdout } = await new Deno.Command("sh", { args: ["-c", pull] })
      .output();
    assert.equal(JSON.parse(new TextDecoder().decode(stdout)).complete, true);
    const locked = await run(folder, "--port", "0");
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, /lakesync: The data folder .* is held by process \d+/);
    const token = await run(folder, "token", "--sub", "alice");
    assert.equal(token.code, 0);
    assert.match(token.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    assert.equal(token.stderr, "");
    assert.equal(await again.end("SIGINT"), 0);
  }));

Deno.test("lakesync serve with a secret prints no token, and says when its port is in use", () =>
  withFolder(async (folder) => {
    const args = ["--port", "0", "--store", "memory", "--secret", SECRET];
    const serving = new Serving(folder, args);
    const [text, port] = await serving.printed(/http:\/\/127\.0\.0\.1:(\d+)\n[^]*\n/);
    assert.ok(!text.includes("Bearer"));
    const busy = await run(folder, "--port", port ?? "", "--store", "memory");
    assert.equal(busy.code, 1);
    assert.match(busy.stderr, /^lakesync: Port \d+ of 127.0.0.1 is in use/);
    assert.equal(await serving.end(), 0);
  }));

Deno.test("lakesync serve keeps its data in Deno KV where it is told to", () =>
  withFolder(async (folder) => {
    const serving = new Serving(folder, ["--port", "0", "--store", "kv"]);
    await serving.printed(/data +\.\/lakesync-data \(kv\)/);
    assert.equal(await serving.end(), 0);
    assert.ok((await Deno.stat(join(folder, "lakesync-data/lakesync.kv"))).isFile);
  }));

Deno.test("lakesync serve refuses a secret file that is too short", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(join(folder, "data"));
    await Deno.writeTextFile(join(folder, "data/secret"), "short");
    const { code, stderr } = await run(folder, "--data", "data", "--port", "0");
    assert.equal(code, 1);
    assert.match(stderr, /secret in data\/secret has fewer than 32/);
  }));

Deno.test("lakesync token signs with the secret it is given, and makes none", () =>
  withFolder(async (folder) => {
    const { stdout } = await run(
      folder,
      ...["token", "--sub", "alice", "--gw", "*", "--role", "admin"],
      ...["--claim", "org=acme", "--secret", SECRET],
    );
    const { verify } = createAuthenticator({ secrets: [SECRET] });
    const { sub, gw, role, claims } = await verify(stdout.trim());
    assert.deepEqual([sub, gw, role, claims["org"]], ["alice", "*", "admin", "acme"]);
    const without = await run(folder, "token", "--sub", "alice");
    assert.equal(without.code, 1);
    assert.equal(without.stdout, "");
    assert.match(without.stderr, /There is no secret/);
    const reserved = await run(
      folder,
      "token",
      "--sub",
      "a",
      "--secret",
      SECRET,
      "--claim",
      "exp=1",
    );
    assert.equal(reserved.code, 2);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("lakesync without the permission it needs says so", () =>
  withFolder(async (folder) => {
    const { code, stderr } = await command(
      folder,
      ["--port", "0", "--store", "memory", "--secret", SECRET],
      ["--allow-env", "--no-prompt"],
    ).output();
    assert.equal(code, 1);
    assert.match(new TextDecoder().decode(stderr), /net access/);
  }));

Deno.test("lakesync needs no more than the permission set server, but for its port", () =>
  withFolder(async (folder) => {
    const { permissions, unstable } = JSON.parse(await Deno.readTextFile(CONFIG));
    const { net, read, write, env, sys, ...others } = permissions.server;
    assert.deepEqual(net, ["127.0.0.1:8787"]);
    assert.deepEqual(others, {});
    assert.ok(unstable.includes("kv"));
    const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = probe.addr;
    probe.close();
    for (const store of ["sqlite", "kv", "memory"]) {
      const serving = new Serving(
        folder,
        ["serve", "--port", `${port}`, "--store", store, "--data", `./lakesync-data/${store}`],
        [
          "--no-prompt",
          `--allow-net=127.0.0.1:${port}`,
          `--allow-read=${read}`,
          `--allow-write=${write}`,
          `--allow-env=${env}`,
          `--allow-sys=${sys}`,
        ],
      );
      const [curl] = await serving.printed(/^curl [^]*'\n\n/m);
      const { stdout } = await new Deno.Command("sh", { args: ["-c", curl] }).output();
      assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), SCHEMA);
      assert.equal(await serving.end(), 0);
    }
  }));
