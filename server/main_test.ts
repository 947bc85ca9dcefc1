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

Deno.test("lakesync serve with a secret prints no token, and says when it cannot listen there", () =>
  withFolder(async (folder) => {
    const args = ["--port", "0", "--store", "memory", "--secret", SECRET];
    const serving = new Serving(folder, args);
    const [text, port] = await serving.printed(/http:\/\/127\.0\.0\.1:(\d+)\n[^]*\n/);
    assert.ok(!text.includes("Bearer"));
    const busy = await run(folder, "--port", port ?? "", "--store", "memory");
    assert.equal(busy.code, 1);
    assert.match(busy.stderr, /^lakesync: Port \d+ of 127.0.0.1 is in use/);
    for (const host of ["192.0.2.1", "nowhere.invalid"]) {
      const nowhere = await run(folder, ...args, "--host", host);
      assert.equal(nowhere.code, 1);
      assert.ok(nowhere.stderr.startsWith(`lakesync: ${host} is no address of this machine`));
    }
    assert.equal(await serving.end(), 0);
  }));

Deno.test("lakesync serve keeps its data in Deno KV where it is told to", () =>
  withFolder(async (folder) => {
    const serving = new Serving(folder, ["--port", "0", "--store", "kv"]);
    await serving.printed(/data +\.\/lakesync-data \(kv\)/);
    assert.equal(await serving.end(), 0);
    assert.ok((await Deno.stat(join(folder, "lakesync-data/lakesync.kv"))).isFile);
    const other = await run(folder, "--port", "0");
    assert.equal(other.code, 2);
    assert.match(other.stderr, /is of the store kv, give --store kv or another --data/);
    const entries = [...Deno.readDirSync(join(folder, "lakesync-data"))];
    assert.ok(!entries.some(({ name }) => name === "gateways"));
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
      ...["--claim", "org=acme", "--claims", '{"orgs":["acme"]}', "--secret", SECRET],
    );
    const { verify } = createAuthenticator({ secrets: [SECRET] });
    const { sub, gw, role, claims } = await verify(stdout.trim());
    assert.deepEqual([sub, gw, role, claims["org"]], ["alice", "*", "admin", "acme"]);
    assert.deepEqual(claims["orgs"], ["acme"]);
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

const MINE = {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
};

/** What `rules check` prints of {@linkcode MINE}. */
const OK = "OK\nbuckets: 1, write rules: 0, tables: 1 of 1\n";

async function writeJson(folder: string, name: string, value: unknown): Promise<string> {
  await Deno.writeTextFile(join(folder, name), JSON.stringify(value));
  return name;
}

Deno.test("lakesync serve has schema and rules of its configuration before it is ready", () =>
  withFolder(async (folder) => {
    const gateways = { default: { schema: SCHEMA, rules: MINE } };
    const config = { port: 0, store: "memory", secret: SECRET, dev: false, gateways };
    await writeJson(folder, "lakesync.json", config);
    const serving = new Serving(folder, ["--config", "lakesync.json"]);
    const [text, url] = await serving.printed(/LakeSync .* on (\S+)\n[^]*\n/);
    assert.doesNotMatch(text, /development|rules/);
    const server = ["--url", url ?? "", "--secret", SECRET];
    const rules = await writeJson(folder, "rules.json", MINE);
    const checked = await run(folder, "rules", "check", "--rules", rules, ...server);
    assert.deepEqual(checked, { code: 0, stdout: OK, stderr: "" });
    const row = ["--table", "todos", "--row", "t1"];
    const explained = await run(folder, "rules", "explain", "--sub", "alice", ...row, ...server);
    assert.equal(explained.code, 0);
    assert.match(explained.stdout, /^READ todos: not allowed$/m);
    assert.match(explained.stdout, /title eq jwt:sub/);
    assert.equal(await serving.end(), 0);
  }));

Deno.test("lakesync serve says what its configuration replaced, and nothing when it replaced nothing", () =>
  withFolder(async (folder) => {
    const logged = async (schema: object, rules: object) => {
      const gateways = { default: { schema, rules } };
      await writeJson(folder, "a.json", { port: 0, secret: SECRET, gateways });
      const serving = new Serving(folder, ["--config", "a.json"]);
      const [text] = await serving.printed(/^[^]*LakeSync .* on \S+\n/);
      assert.equal(await serving.end(), 0);
      return text.split("\n").filter((line) => line.includes("replaced"));
    };
    assert.deepEqual(await logged(SCHEMA, MINE), []);
    assert.deepEqual(await logged(SCHEMA, MINE), []);
    const [rules, ...more] = await logged(SCHEMA, { buckets: [] });
    assert.match(
      rules ?? "",
      /Gateway default: its sync rules were replaced by those of the file/,
    );
    assert.deepEqual(more, []);
    const [schema, ...others] = await logged({ ...SCHEMA, version: 2 }, { buckets: [] });
    assert.match(
      schema ?? "",
      /Gateway default: schema version 1 was replaced by version 2 of the file/,
    );
    assert.deepEqual(others, []);
  }));

Deno.test("lakesync serve ends with 1 when a gateway cannot be as configured, with 2 for unknown keys", () =>
  withFolder(async (folder) => {
    const rules = { buckets: [{ name: "mine", tables: ["lists"] }] };
    const gateways = { default: { schema: SCHEMA, rules } };
    await writeJson(folder, "a.json", { port: 0, store: "memory", secret: SECRET, gateways });
    const refused = await run(folder, "--config", "a.json");
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^lakesync: Gateway default .*\$\.buckets\[0\]\.tables\[0\]: no table/,
    );
    await writeJson(folder, "b.json", { prt: 0 });
    const unknown = await run(folder, "--config", "b.json");
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /^lakesync: The configuration b\.json: prt is not known/);
  }));

Deno.test("lakesync serve says whether clients get into a gateway without rules", () =>
  withFolder(async (folder) => {
    const args = ["--port", "0", "--store", "memory", "--secret", SECRET];
    for (
      const [flag, line] of [
        ["--dev", /^ +mode +development: .*open to every valid token.*--no-dev/m],
        [
          "--dev=false",
          /^ +rules +none: default is closed .*PUT \/v1\/admin\/sync-rules\/default/m,
        ],
      ] as const
    ) {
      const serving = new Serving(folder, [...args, flag]);
      await serving.printed(line);
      assert.equal(await serving.end(), 0);
    }
    const open = await run(folder, ...args, "--dev", "--host", "0.0.0.0");
    assert.equal(open.code, 2);
    assert.match(open.stderr, /loopback only/);
  }));

Deno.test("lakesync rules check prints each problem and ends with 1", () =>
  withFolder(async (folder) => {
    const schema = await writeJson(folder, "schema.json", SCHEMA);
    const write = [{ tables: ["todos"], ops: ["UPSERT"] }];
    const wrong = await writeJson(folder, "wrong.json", {
      buckets: [...MINE.buckets, { name: "lists", tables: ["lists"] }],
      write,
    });
    const { code, stdout, stderr } = await run(
      folder,
      ...["rules", "check", "--rules", wrong, "--schema", schema],
    );
    assert.deepEqual([code, stderr], [1, ""]);
    const [first, second, ...more] = stdout.trimEnd().split("\n");
    assert.match(first ?? "", /^Rules at \$\.buckets\[1\]\.tables\[0\]: no table/);
    assert.match(second ?? "", /^Rules at \$\.write\[0\]\.ops\[0\]: must be one of/);
    assert.deepEqual(more, []);
    await Deno.writeTextFile(
      join(folder, "rules.ts"),
      `export default ${JSON.stringify(MINE)} as const;\n`,
    );
    const good = await run(folder, "rules", "check", "--rules", "rules.ts", "--schema", schema);
    assert.deepEqual(good, { code: 0, stdout: OK, stderr: "" });
    await Deno.writeTextFile(
      join(folder, "both.ts"),
      `export const rules = ${JSON.stringify(MINE)};
      export const schema = ${JSON.stringify(SCHEMA)};`,
    );
    const both = ["--rules", "both.ts", "--schema", "both.ts"];
    assert.deepEqual(await run(folder, "rules", "check", ...both), good);
    await Deno.writeTextFile(join(folder, "neither.ts"), "export const rule = {};");
    for (const flag of ["rules", "schema"]) {
      const neither = await run(folder, "rules", "check", ...both, `--${flag}`, "neither.ts");
      assert.equal(neither.code, 1);
      assert.match(neither.stderr, RegExp(`neither.ts: .* no default .* no export named ${flag}`));
    }
    const missing = await run(folder, "rules", "check", "--rules", "no.ts", "--schema", schema);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /^lakesync: no\.ts: No such file/);
    const usage = await run(folder, "rules", "check");
    assert.equal(usage.code, 2);
  }));

Deno.test("lakesync rules explain asks the server of the data folder, and no other with its secret", () =>
  withFolder(async (folder) => {
    const serving = new Serving(folder, ["--port", "0"]);
    const [, url] = await serving.printed(/ on (http:\S+)\n/);
    const [curl] = await serving.printed(/^curl [^]*'\n\n/m);
    await new Deno.Command("sh", { args: ["-c", curl.replace("curl", "curl -s")] }).output();
    const asked = ["rules", "explain", "--sub", "alice", "--table", "todos", "--row", "t1"];
    const open = await run(folder, ...asked, "--url", url ?? "");
    assert.equal(open.code, 0);
    assert.match(open.stdout, /no sync rules/);
    const unknown = await run(folder, ...asked, "--url", url ?? "", "--gw", "notes");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /^lakesync: There is no gateway notes/);
    const elsewhere = await run(folder, ...asked, "--url", "https://sync.invalid");
    assert.equal(elsewhere.code, 2);
    assert.match(elsewhere.stderr, /give --token or --secret/);
    await Deno.mkdir(join(folder, "other"));
    await Deno.writeTextFile(join(folder, "other/secret"), SECRET);
    for (
      const [flag, value, whose] of [
        ["--data", "./other", "signed with the secret of the data folder ./other"],
        ["--secret", SECRET, "signed with the secret of --secret or LAKESYNC_SECRET"],
        ["--token", "x", "that of --token or LAKESYNC_TOKEN"],
      ] as const
    ) {
      const { code, stderr } = await run(folder, ...asked, "--url", url ?? "", flag, value);
      assert.equal(code, 1);
      assert.ok(stderr.includes(whose), stderr);
      assert.match(stderr, /--data.*--secret.*--token/);
      assert.ok(!stderr.includes(SECRET));
    }
    assert.equal(await serving.end(), 0);
    const gone = await run(folder, ...asked, "--url", url ?? "");
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /does not answer/);
  }));

Deno.test("lakesync without the permission it needs says so", () =>
  withFolder(async (folder) => {
    const { code, stderr } = await command(
      folder,
      ["--port", "0", "--store", "memory", "--secret", SECRET],
      ["--allow-env", "--allow-read", "--no-prompt"],
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
    // What drivers ask for besides is not there.
    assert.equal(env.ignore, true);
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
          `--allow-env=${env.allow}`,
          `--allow-sys=${sys}`,
        ],
      );
      const [curl] = await serving.printed(/^curl [^]*'\n\n/m);
      const { stdout } = await new Deno.Command("sh", { args: ["-c", curl] }).output();
      assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), SCHEMA);
      assert.equal(await serving.end(), 0);
    }
  }));
