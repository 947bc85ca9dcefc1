/**
 * A real gateway process for code blocks and for programs under other runtimes.
 *
 * @module
 */

import { ROOT } from "./files.ts";
import { run } from "./process.ts";

const START_TIMEOUT_MS = 30_000;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A gateway; disposing of it ends it. */
export interface Gateway extends AsyncDisposable {
  /** The port it listens on, on 127.0.0.1. */
  readonly port: number;
  /** A token for the gateway `default`, with the role admin. */
  readonly token: string;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function untilReady(port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!await answers(`http://127.0.0.1:${port}/startupz`)) {
    if (Date.now() > deadline) throw new Error("The gateway does not start");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Starts a gateway process on a free port and waits until it is ready.
 *
 * @param folder its working folder; the data go to `lakesync-data` in it
 * @returns the gateway
 */
export async function startGateway(folder: string): Promise<Gateway> {
  const port = freePort();
  const lakesync = [Deno.execPath(), "run", "-A", new URL("server/main.ts", ROOT).href];
  const stop = new AbortController();
  const serving = run([...lakesync, "serve", "--port", String(port)], {
    cwd: folder,
    signal: stop.signal,
  });
  const died = serving.then(({ output }) => {
    throw new Error(`The gateway ended: ${output}`);
  });
  await Promise.race([untilReady(port), died]);
  const admin = ["--sub", "alice", "--gw", "default", "--role", "admin"];
  const { output } = await run([...lakesync, "token", ...admin], { cwd: folder });
  return {
    port,
    token: output.trim(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await died.catch(() => {});
    },
  };
}
