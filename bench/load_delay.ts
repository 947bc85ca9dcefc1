/**
 * Runs inside the gateway's process, before it, and writes down how late a timer of 10 ms comes,
 * and how much of that the thread waited for its core: the delay of the event loop, seen by a clock
 * of the load script's own. Not part of the gateway; the load script loads it by `--preload` and
 * names the file by a variable.
 *
 * @module
 */

const TICK_MS = 10;
const WRITE_MS = 500;

/** How long the main thread could run and was not let, in milliseconds; 0 where it is not told. */
function waitedMs(): number {
  try {
    return Number(Deno.readTextFileSync("/proc/self/schedstat").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

const file = Deno.env.get("LAKESYNC_LOAD_DELAYS");
let due = performance.now() + TICK_MS;
let waited = waitedMs();
let late: string[] = [];
let written = due;

function tick(): void {
  const now = performance.now();
  const waitedNow = waitedMs();
  late.push(`${Math.max(0, now - due).toFixed(2)}/${(waitedNow - waited).toFixed(2)}`);
  due = now + TICK_MS;
  waited = waitedNow;
  if (file !== undefined && now - written >= WRITE_MS) {
    Deno.writeTextFileSync(file, `${Date.now()} ${late.join(" ")}\n`, { append: true });
    late = [];
    written = now;
  }
  Deno.unrefTimer(setTimeout(tick, TICK_MS));
}

if (file !== undefined) Deno.unrefTimer(setTimeout(tick, TICK_MS));
