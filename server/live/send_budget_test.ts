import assert from "node:assert/strict";
import { SendBudget, type Sender } from "./send_budget.ts";

const MIB = 1024 * 1024;

/** A connection whose socket is filled and emptied by hand. */
class Socket implements Sender {
  constructor(readonly user: string = crypto.randomUUID()) {}
  bytes = 0;
  ended = false;
  takenBytes = 0;
  buffered = () => this.bytes;
  taken = () => this.takenBytes;
  overflow = () => void (this.ended = true);
}

/** A budget of 4 MiB on a clock that tests hold in their hands. */
class Bench {
  now = 0;
  timers: (() => void)[] = [];
  readonly budget = new SendBudget({
    bytes: 4 * MIB,
    pageBytes: MIB,
    now: () => this.now,
    setTimer: (_, callback) => void this.timers.push(callback),
  });

  /** Sends a page over a socket that has its turn. */
  send(socket: Socket, bytes: number): void {
    const end = this.budget.turn(socket);
    assert.ok(typeof end === "function", "it has to wait");
    socket.bytes += bytes;
    this.budget.sent(socket);
    end();
  }

  /** Asks for a turn that does not come at once; tells how often it has come. */
  wait(socket: Socket): { turns: number } {
    const state = { turns: 0 };
    const turn = this.budget.turn(socket);
    assert.ok(turn instanceof Promise, "it need not wait");
    void turn.then(() => state.turns++);
    return state;
  }

  async tick(ms = 10): Promise<void> {
    this.now += ms;
    for (const timer of this.timers.splice(0)) timer();
    await Promise.resolve();
  }
}

Deno.test("G11 SendBudget begins no page while too much waits in all sockets", async () => {
  const bench = new Bench();
  const [silent, good] = [new Socket(), new Socket()];
  bench.send(silent, 4 * MIB);
  const waiting = bench.wait(good);
  await bench.tick();
  assert.equal(waiting.turns, 0);
  silent.bytes = 0;
  await bench.tick();
  assert.equal(waiting.turns, 1);
  assert.equal(bench.timers.length, 0);
});

Deno.test("G11 SendBudget counts pages that are being read", async () => {
  const bench = new Bench();
  const ends = Array.from({ length: 4 }, () => bench.budget.turn(new Socket()));
  const waiting = bench.wait(new Socket());
  const [end] = ends;
  assert.ok(typeof end === "function");
  end();
  await Promise.resolve();
  assert.equal(waiting.turns, 1);
});

Deno.test("SendBudget lets a full socket wait and no other", async () => {
  const bench = new Bench();
  const [full, other] = [new Socket(), new Socket()];
  bench.send(full, 2 * MIB);
  const waiting = bench.wait(full);
  const next = bench.wait(other);
  await bench.tick();
  assert.deepEqual([waiting.turns, next.turns], [0, 1]);
});

Deno.test("G11 SendBudget ends who takes nothing while others wait, not who is slow", async () => {
  const bench = new Bench();
  const [silent, slow, good] = [new Socket(), new Socket(), new Socket()];
  bench.send(silent, 2 * MIB);
  bench.send(slow, 2 * MIB);
  await bench.tick(60_000);
  assert.equal(silent.ended, false);
  const waiting = bench.wait(good);
  slow.bytes -= 1;
  await bench.tick();
  assert.deepEqual([silent.ended, slow.ended], [true, false]);
  await Promise.resolve();
  assert.equal(waiting.turns, 1);
});

Deno.test("SendBudget does not end who takes a large message slowly, nor keeps who hardly does", async () => {
  const bench = new Bench();
  const [slow, trickles] = [new Socket(), new Socket()];
  bench.send(slow, 2 * MIB);
  bench.send(trickles, 2 * MIB);
  bench.wait(new Socket());
  for (let second = 0; second < 10; second++) {
    slow.takenBytes += 100 * 1024;
    trickles.takenBytes += 10 * 1024;
    await bench.tick(1_000);
  }
  assert.deepEqual([slow.ended, trickles.ended], [false, true]);
});

Deno.test("G11 SendBudget ends who holds most when answers fill the sockets", () => {
  const bench = new Bench();
  const [pings, other] = [new Socket(), new Socket()];
  other.bytes = MIB;
  bench.budget.sent(other);
  pings.bytes = 8 * MIB;
  bench.budget.sent(pings);
  assert.deepEqual([pings.ended, other.ended], [true, false]);
});

Deno.test("G11 SendBudget counts a socket that was ended until it is gone", async () => {
  const bench = new Bench();
  const good = new Socket();
  for (const round of [1, 2]) {
    const silent = new Socket();
    bench.send(silent, 4 * MIB);
    const waiting = bench.wait(good);
    await bench.tick(10_000);
    assert.equal(silent.ended, true);
    await Promise.resolve();
    assert.equal(waiting.turns, round === 1 ? 1 : 0, `round ${round}`);
  }
});

Deno.test("G11 SendBudget lets no user hold what others need", async () => {
  const bench = new Bench();
  const [first, second, other] = [new Socket("mallory"), new Socket("mallory"), new Socket()];
  bench.send(first, MIB);
  bench.send(second, MIB / 2);
  const waiting = bench.wait(second);
  const next = bench.wait(other);
  await bench.tick();
  assert.deepEqual([waiting.turns, next.turns], [0, 1]);
});

Deno.test("G11 SendBudget counts the pages that are being read for one user", async () => {
  const bench = new Bench();
  const sockets = [new Socket("mallory"), new Socket("mallory")];
  const [first] = sockets.map((socket) => bench.budget.turn(socket));
  const waiting = bench.wait(new Socket("mallory"));
  assert.ok(typeof first === "function");
  first();
  await bench.tick();
  assert.equal(waiting.turns, 1);
});

Deno.test("SendBudget forgets a connection that is gone", async () => {
  const bench = new Bench();
  const [gone, good] = [new Socket(), new Socket()];
  bench.send(gone, 4 * MIB);
  const [mine, other] = [bench.wait(gone), bench.wait(good)];
  bench.budget.left(gone);
  await Promise.resolve();
  assert.deepEqual([mine.turns, other.turns], [1, 1]);
});

Deno.test("G11 SendBudget lets users who hold nothing go first, and keeps room for them", async () => {
  const bench = new Bench();
  const silent = [new Socket(), new Socket(), new Socket()];
  for (const socket of silent) bench.send(socket, 0.9 * MIB);
  const more = silent.map(({ user }) => bench.wait(new Socket(user)));
  const good = bench.wait(new Socket());
  await bench.tick();
  assert.deepEqual([...more, good].map(({ turns }) => turns), [0, 0, 0, 1]);
});

Deno.test("G11: SendBudget looks at few of a thousand that wait for each that begins", async () => {
  let looks = 0;
  const budget = new SendBudget({
    bytes: 8,
    pageBytes: 1,
    now: () => 0,
    setTimer: () => {},
    isHeld: () => {
      looks++;
      return false;
    },
  });
  let done = 0;
  const readers = Array.from({ length: 1_000 }, async (_, i) => {
    const end = await budget.turn({ user: `u${i}`, buffered: () => 0, overflow: () => {} });
    done++;
    end();
  });
  await Promise.all(readers);
  assert.equal(done, 1_000);
  assert.ok(looks < 5_000, `${looks} looks`);
});
