/**
 * Throw-away servers that speak S3: versitygw over a folder.
 *
 * @module
 */

import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { firstFile, type Found, type Missing, pathFolders, versionOf } from "./find.ts";
import { type Engine, Server, type ServerOptions } from "./server.ts";
import { toolsFolder } from "./tools.ts";

/** The version that `fetch_s3.ts` builds. */
export const S3_VERSION = "1.8.0";

const PROGRAM = "versitygw";
const REGION = "us-east-1";
const ACCESS_KEY_ID = "administrator";
const SECRET_ACCESS_KEY: string = crypto.randomUUID();
const ANSWER_MS = 1_000;
/** No other server has this path. */
const HEALTH = `/health-${crypto.randomUUID()}`;

/** What a client needs to reach a bucket. */
export interface S3Access {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The bucket is in the path and not in the name of the host. */
  readonly pathStyle: true;
}

/** A running server. */
export interface S3Server extends AsyncDisposable {
  /** How to reach it. */
  readonly access: S3Access;
  /** Its process; 0 while it does not run. */
  readonly pid: number;
  /** Where its files are. */
  readonly folder: string;
  /** Makes an empty bucket and gives its name. */
  createBucket(): Promise<string>;
  /** Sends it a signal; see `DatabaseServer`. */
  kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** Starts it on the same data and port, after an orderly end when it still runs. */
  restart(): Promise<void>;
  /** What it has logged since it was made. */
  log(): Promise<string>;
  /** Ends it and removes its data; `await using` does it too. */
  stop(): Promise<void>;
}

/** Where `fetch_s3.ts` puts the server. */
export function fetchedS3(): string {
  return `${toolsFolder()}/${PROGRAM}-${S3_VERSION}`;
}

function programFolders(): string[] {
  const only = Deno.env.get("LAKESYNC_TEST_S3");
  return only === undefined ? [...pathFolders(), fetchedS3()] : [only];
}

/**
 * Looks for the server on this machine: in the folder that `LAKESYNC_TEST_S3` names, else on the path
 * and where `fetch_s3.ts` puts it.
 */
export async function findS3(): Promise<Found | Missing> {
  const program = await firstFile(programFolders().map((folder) => `${folder}/${PROGRAM}`));
  if (program === undefined) {
    return { missing: "No server for S3 is installed; CONTRIBUTING.md says how" };
  }
  const lines = (await versionOf(program)).split("\n")[0]?.split(":") ?? [];
  return {
    version: `${PROGRAM} ${lines.at(-1)?.trim()}`,
    from: program.slice(0, program.lastIndexOf("/")),
  };
}

class VersityServer implements S3Server {
  readonly #server: Server;
  #buckets = 0;

  constructor(server: Server) {
    this.#server = server;
  }

  get access(): S3Access {
    return {
      endpoint: this.#server.url,
      region: REGION,
      accessKeyId: ACCESS_KEY_ID,
      secretAccessKey: SECRET_ACCESS_KEY,
      pathStyle: true,
    };
  }

  get pid(): number {
    return this.#server.pid;
  }

  get folder(): string {
    return this.#server.folder;
  }

  async createBucket(): Promise<string> {
    const bucket = `bucket-${++this.#buckets}`;
    const client = new S3Client({
      endpoint: this.#server.url,
      region: REGION,
      forcePathStyle: true,
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
    });
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
    } finally {
      client.destroy();
    }
    return bucket;
  }

  kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    return this.#server.kill(signal);
  }

  restart(): Promise<void> {
    return this.#server.restart();
  }

  log(): Promise<string> {
    return this.#server.log();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.stop();
  }
}

/** Asks a server for what no other has. Another program may not answer at all. */
async function isOurs(port: number): Promise<boolean> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), ANSWER_MS);
  try {
    const { signal } = patience;
    const answer = await fetch(`http://127.0.0.1:${port}${HEALTH}`, { signal });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Starts a server of its own. Its folder is durable as far as the system is, whatever the options
 * say; of its settings, those of the command line are meant, without their dashes.
 *
 * @param options how
 * @throws {Error} when there is none on this machine, and when it does not start
 */
export async function startS3(options: ServerOptions = {}): Promise<S3Server> {
  const found = await findS3();
  if ("missing" in found) throw new Error(found.missing);
  const engine: Engine = {
    name: "s3",
    user: undefined,
    // It says so before it has the port.
    ready: "service listening on",
    answers: isOurs,
    stopSignal: "SIGTERM",
    quitSignal: "SIGKILL",
    prepare: (folder) => Deno.mkdir(`${folder}/data`),
    env: { ROOT_ACCESS_KEY_ID: ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY },
    command: (folder, port) => [
      `${found.from}/${PROGRAM}`,
      `--port=127.0.0.1:${port}`,
      `--region=${REGION}`,
      `--health=${HEALTH}`,
      "--keep-alive",
      ...Object.entries(options.settings ?? {}).map(([name, value]) => `--${name}=${value}`),
      "posix",
      `${folder}/data`,
    ],
    url: (port) => `http://127.0.0.1:${port}`,
    createDatabase: () => Promise.reject(new Error("It has buckets and no databases")),
  };
  return new VersityServer(await Server.start(engine, options.choosePort));
}
