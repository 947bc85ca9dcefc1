/**
 * Only the order of system calls can show that an object in a folder is durable when its promise
 * resolves: its bytes are flushed before it has its name, and afterwards the folder with that name,
 * and those with the names of the folders it is in.
 */

import assert from "node:assert/strict";
import { hasTracer } from "../crash/tracer.ts";

const CALLS =
  "write,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat";
const KEPT = "kept ";

/** Keeps and deletes objects in the same folders at once, and says which are kept. */
const SCRIPT = `
  import { writeSync } from "node:fs";
  import { openFileObjects } from "@lakesync/adapters";
  const objects = await openFileObjects(Deno.args[0]);
  const keep = async (key, creates) => {
    const call = creates ? "createObject" : "putObject";
    if (await objects[call](key, new Uint8Array(10)) !== false) writeSync(1, "${KEPT}" + key + "\\n");
  };
  await keep("alone/in/folders", true);
  await keep("alone/in/others", false);
  for (let round = 0; round < 25; round++) {
    await Promise.all(Array.from({ length: 12 }, async (_, n) => {
      const key = "f" + (n % 2) + "/g" + (n % 3) + "/" + round + "-" + n;
      await keep(key, n % 4 < 2);
      if (n % 4 !== 0) await objects.deleteObject(key);
    }));
    await objects.deleteObjects(Array.from({ length: 12 }, (_, n) =>
      "f" + (n % 2) + "/g" + (n % 3) + "/" + round + "-" + n));
  }
`;

/** A call, in the order in which they finished. */
interface Call {
  readonly name: string;
  readonly text: string;
}

/** Reads `strace -f -y`: a call that another thread interrupts is split in two lines. */
function parseTrace(trace: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, string>();
  for (const line of trace.split("\n")) {
    const [, thread = "", rest = ""] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (rest.endsWith("<unfinished ...>")) {
      unfinished.set(thread, rest.slice(0, -"<unfinished ...>".length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const text = resumed ? (unfinished.get(thread) ?? "") + resumed[1] : rest;
    const [, name = "", result] = /^(\w+)\(.* = (-?\d+)/.exec(text) ?? [];
    if (result !== undefined && Number(result) >= 0) calls.push({ name, text });
  }
  return calls;
}

const parentOf = (path: string) => path.slice(0, path.lastIndexOf("/"));

/** What a disk has: names that exist, and which of them are still there after power was lost. */
class Disk {
  readonly #root: string;
  readonly #there = new Set<string>();
  readonly #durable = new Set<string>();
  readonly #flushed = new Set<string>();
  kept = 0;

  constructor(root: string) {
    this.#root = root;
  }

  #isOurs(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }

  #come(path: string): void {
    this.#there.add(path);
    this.#durable.delete(path);
  }

  #go(path: string): void {
    this.#there.delete(path);
    this.#durable.delete(path);
  }

  see({ name, text }: Call): void {
    const [path = "", to = ""] = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, s]) => s ?? "");
    const file = /^\w+\(\d+<([^>]*)>/.exec(text)?.[1] ?? "";
    // The runtime writes files of its own elsewhere.
    if (name !== "write" && ![path, file].some((at) => this.#isOurs(at))) return;
    if (name.startsWith("mkdir")) this.#come(path);
    else if (name === "rmdir" || name.startsWith("unlink")) this.#go(path);
    else if (name.startsWith("rename") || name.startsWith("link")) this.#name(path, to, name);
    else if (name === "write") this.#say(path);
    else {
      this.#flushed.add(file);
      for (const path of this.#there) if (parentOf(path) === file) this.#durable.add(path);
    }
  }

  #name(from: string, to: string, call: string): void {
    assert(this.#flushed.has(from), `${to} has its name before its bytes are flushed`);
    this.#come(to);
    if (call.startsWith("rename")) this.#go(from);
  }

  #say(text: string): void {
    if (!text.startsWith(KEPT)) return;
    this.kept++;
    const key = text.slice(KEPT.length).replace("\\n", "");
    for (let at = `${this.#root}/${key}`; at !== this.#root; at = parentOf(at)) {
      assert(this.#there.has(at), `${at} is not there`);
      assert(this.#durable.has(at), `the name of ${at} was not flushed`);
    }
  }
}

const tracer = await hasTracer();
if (!tracer) console.log("skipped: the order in which a folder is flushed needs strace");

Deno.test({
  name: "G1: an object in a folder is durable with all its names when it is kept",
  ignore: !tracer,
  fn: async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "lakesync-order-" }));
    const script = await Deno.makeTempFile({ suffix: ".js", dir: import.meta.dirname ?? "." });
    try {
      await Deno.writeTextFile(script, SCRIPT);
      const trace = ["-f", "-y", "-s", "4096", "-e", `trace=${CALLS}`, "-o", `${folder}/trace`];
      const program = [Deno.execPath(), "run", "-A", script, `${folder}/objects`];
      const { success, stderr } = await new Deno.Command("strace", {
        args: [...trace, ...program],
        stdout: "null",
        stderr: "piped",
      }).output();
      assert.equal(success, true, new TextDecoder().decode(stderr));
      const disk = new Disk(`${folder}/objects`);
      for (const call of parseTrace(await Deno.readTextFile(`${folder}/trace`))) disk.see(call);
      assert(disk.kept > 100, `${disk.kept} were kept`);
    } finally {
      await Deno.remove(script);
      await Deno.remove(folder, { recursive: true });
    }
  },
});
