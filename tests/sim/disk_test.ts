import assert from "node:assert/strict";
import { Random } from "../oracle/random.ts";
import { DiskFull, type Mount, SimDisk } from "./disk.ts";

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);

/** What power losses leave of the file `log`, each after the same writes on a disk of its own. */
function leftovers(write: (mount: Mount) => void): readonly (string | undefined)[] {
  return SEEDS.map((seed) => {
    const disk = new SimDisk();
    write(disk.mount());
    disk.crash(new Random(seed));
    return text(disk.mount().read("log"));
  });
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array | undefined): string | undefined {
  return content && new TextDecoder().decode(content);
}

Deno.test("SimDisk keeps what was fsynced through every power loss", () => {
  const left = leftovers((mount) => {
    mount.append("log", bytes("one"));
    mount.fsync("log");
    mount.append("log", bytes("two"));
  });
  assert(left.every((content) => content?.startsWith("one")));
});

Deno.test("SimDisk tears what was not fsynced at any byte, loses it or keeps it", () => {
  const left = leftovers((mount) => {
    mount.append("log", bytes("1"));
    mount.fsync("log");
    mount.append("log", bytes("abc"));
    mount.append("log", bytes("de"));
  });
  const possible = ["1", "1a", "1ab", "1abc", "1abcd", "1abcde"];
  const zeroed = (content: string) => content.includes("\0");
  assert.deepEqual(
    [...new Set(left.filter((content) => !zeroed(content ?? "")))].sort(),
    possible,
  );
  assert(left.some((content) => zeroed(content ?? "")), "a sector is lost now and then");
});

Deno.test("SimDisk loses a file or its removal when neither was fsynced", () => {
  const created = leftovers((mount) => mount.append("log", bytes("a")));
  assert(created.includes(undefined));
  assert(created.includes("a"));
  const removed = (fsyncAnother: boolean) =>
    new Set(leftovers((mount) => {
      mount.append("log", bytes("a"));
      mount.fsync("log");
      mount.remove("log");
      assert.deepEqual(mount.list(), []);
      mount.append("other", bytes("b"));
      if (fsyncAnother) mount.fsync("other");
    }));
  assert.deepEqual(removed(false), new Set([undefined, "a"]));
  assert.deepEqual(removed(true), new Set([undefined]));
});

Deno.test("SimDisk may undo a cut that was not fsynced, and never keeps what came after it then", () => {
  const left = leftovers((mount) => {
    mount.append("log", bytes("abcd"));
    mount.fsync("log");
    mount.truncate("log", 2);
    mount.append("log", bytes("X"));
    assert.equal(text(mount.read("log")), "abX");
  });
  const whole = left.filter((content) => !content?.includes("\0"));
  assert.deepEqual(new Set(whole), new Set(["abcd", "ab", "abX"]));
});

Deno.test("SimDisk writes what fits when it is full, and goes on when there is room", () => {
  const disk = new SimDisk();
  const mount = disk.mount();
  mount.append("other", bytes("12345"));
  disk.limitBytes = 8;
  assert.throws(() => mount.append("log", bytes("abcd")), DiskFull);
  assert.equal(text(mount.read("log")), "abc");
  assert.equal(disk.usedBytes, 8);
  mount.remove("other");
  mount.append("log", bytes("de"));
  assert.equal(text(mount.read("log")), "abcde");
});

Deno.test("SimDisk keeps the page cache when processes die, and lets none of them touch it again", () => {
  const disk = new SimDisk();
  const [one, other] = [disk.mount(), disk.mount()];
  one.append("log", bytes("a"));
  one.kill();
  assert.throws(() => one.append("log", bytes("b")), /dead process/);
  assert.throws(() => one.fsync("log"), /dead process/);
  other.append("log", bytes("c"));
  disk.kill();
  assert.throws(() => other.read("log"), /dead process/);
  assert.equal(text(disk.mount().read("log")), "ac");
});

Deno.test("SimDisk says that it fsynced and does not when it lies", () => {
  const left = SEEDS.map((seed) => {
    const disk = new SimDisk();
    disk.lying = true;
    const mount = disk.mount();
    mount.append("log", bytes("a"));
    mount.fsync("log");
    assert.equal(text(disk.snapshot().get("log")), "a");
    disk.crash(new Random(seed));
    return text(disk.mount().read("log"));
  });
  assert(left.includes(undefined));
});

Deno.test("SimDisk restores what was fsynced when it was copied", () => {
  const disk = new SimDisk();
  const mount = disk.mount();
  mount.append("log", bytes("a"));
  mount.fsync("log");
  mount.append("log", bytes("b"));
  const copy = disk.snapshot();
  mount.append("later", bytes("c"));
  mount.fsync("later");
  disk.restore(copy);
  assert.equal(mount.alive, false);
  const after = disk.mount();
  assert.deepEqual(after.list(), ["log"]);
  assert.equal(text(after.read("log")), "a");
});
