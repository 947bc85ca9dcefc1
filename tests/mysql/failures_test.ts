import assert from "node:assert/strict";
import { DestinationError, type RetryKind } from "@lakesync/adapters";
import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { destinationError, refusalOf } from "../../adapters/mysql/errors.ts";
import { TODOS } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";

/** A failure as the driver throws it. */
function failure(errno: number, sqlState = "HY000"): Error {
  return Object.assign(new Error(`failure ${errno}`), { errno, sqlState, code: "ER_SOMETHING" });
}

Deno.test("destinationError sorts failures by what helps", () => {
  const kinds: Readonly<Record<RetryKind, readonly number[]>> = {
    now: [1205, 1213],
    later: [1040, 2006, 2013, 1053, 1290, 1021, 1114, 3024, 1969, 1146, 9999],
    stop: [1045, 1142, 1227, 1044, 1049, 1665],
  };
  for (const [retry, numbers] of Object.entries(kinds)) {
    for (const number of numbers) {
      const found = destinationError(failure(number));
      assert.deepEqual([found.retry, found.code], [retry, String(number)], `${number}`);
      assert.equal(refusalOf(failure(number)), undefined, `${number}`);
    }
  }
  const lost = Object.assign(new Error("lost"), { code: "PROTOCOL_CONNECTION_LOST", fatal: true });
  assert.deepEqual([destinationError(lost).retry, destinationError(lost).code], [
    "later",
    "PROTOCOL_CONNECTION_LOST",
  ]);
});

Deno.test("refusalOf tells a row's fault from all others", () => {
  for (
    const [number, state] of [[1062, "23000"], [1264, "22003"], [1406, "22001"], [1644, "45000"]]
  ) {
    const refusal = refusalOf(failure(Number(number), String(state)));
    assert.equal(refusal?.code, String(number));
  }
  for (const number of [1048, 1366, 3819, 4025]) assert.ok(refusalOf(failure(number)), `${number}`);
  const own = failure(1452, "23000");
  own.message = "fails (`a`.`b`, CONSTRAINT `lakesync_fk_1_2_3` FOREIGN KEY (`c`))";
  assert.equal(refusalOf(own), undefined);
  assert.equal(destinationError(own).retry, "now");
  own.message = "fails (`a`.`b`, CONSTRAINT `theirs` FOREIGN KEY (`c`))";
  assert.ok(refusalOf(own));
});

Deno.test("options are checked", () => {
  const url = "mysql://user:pass@localhost/app";
  for (
    const options of [
      { url: "postgres://localhost/app" },
      { url: "mysql://localhost" },
      { url, poolMax: 1 },
      { url, statementTimeoutMs: 0 },
      { url, retentionDays: -1 },
      { url: `${url}?ssl-mode=MAYBE` },
      { url: "mysql://127.0.0.1/app?ssl-mode=VERIFY_IDENTITY" },
    ]
  ) {
    assert.throws(
      () => mysqlAdapter(options),
      (error) => error instanceof DestinationError && error.retry === "stop",
      JSON.stringify(options),
    );
  }
});

async function failed(run: Promise<unknown>): Promise<DestinationError> {
  const error = await run.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof DestinationError, String(error));
  return error;
}

databaseTest("mariadb", "who is not let in is told to mend it", async ({ url }) => {
  await using bed = new Bed(url, TODOS);
  const wrong = new URL(url);
  wrong.password = "wrong";
  const nobody = mysqlAdapter({ url: wrong.href });
  assert.deepEqual(await failed(nobody.position()).then(({ retry, code }) => [retry, code]), [
    "stop",
    "1045",
  ]);
  await nobody.close();
  const nowhere = new URL(url);
  nowhere.pathname = "/nowhere";
  const lost = mysqlAdapter({ url: nowhere.href });
  assert.equal((await failed(lost.position())).retry, "stop");
  await lost.close();
  const name = new URL(url).pathname.slice(1);
  await bed.rows("CREATE USER 'reader'@'%' IDENTIFIED BY 'secret'");
  await bed.rows(`GRANT SELECT ON \`${name}\`.* TO 'reader'@'%'`);
  const reader = new URL(url);
  [reader.username, reader.password] = ["reader", "secret"];
  const poor = mysqlAdapter({ url: reader.href });
  const error = await failed(poor.ensureSchema(bed.log.schema));
  assert.deepEqual([error.retry, error.code], ["stop", "1142"]);
  assert.doesNotMatch(error.message, /secret/);
  await poor.close();
  await bed.rows("DROP USER 'reader'@'%'");
});

databaseTest("mariadb", "the grants of the guide are enough", async ({ url }) => {
  await using bed = new Bed(url, TODOS);
  const name = new URL(url).pathname.slice(1);
  await bed.rows("CREATE USER 'writer'@'%' IDENTIFIED BY 'secret'");
  await bed.rows(
    `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ` +
      `ON \`${name}\`.* TO 'writer'@'%'`,
  );
  const address = new URL(url);
  [address.username, address.password] = ["writer", "secret"];
  await using own = new Bed(address.href, TODOS, { retentionDays: 1 });
  await own.log.begin();
  await own.log.insert(own.log.commit({ table: "todos", rowId: "r", cells: { n: 1 } }));
  await own.log.rewind(0, "life-2");
  assert.equal((await own.adapter.unsettled(9)).length, 1);
  await own.adapter.close();
  await bed.rows("DROP USER 'writer'@'%'");
});

databaseTest(
  "mariadb",
  "a flush that is stuck on a lock gives up in time, and holds up nothing",
  async ({
    url,
  }) => {
    await using bed = new Bed(url, TODOS, { statementTimeoutMs: 1_000 });
    await bed.log.begin();
    await bed.log.insert(bed.log.commit({ table: "todos", rowId: "r", cells: { n: 1 } }));
    const changes = bed.log.commit({ table: "todos", rowId: "r", cells: { n: 2 } });
    for (
      const lock of ["SELECT * FROM todos FOR UPDATE", "SELECT * FROM lakesync_position FOR UPDATE"]
    ) {
      await bed.rows("START TRANSACTION");
      await bed.rows(lock);
      const started = performance.now();
      const stuck = failed(bed.log.insert(changes));
      assert.equal((await bed.adapter.getLatestState([bed.log.key("todos", "r")])).length, 1);
      assert.equal((await bed.adapter.position())?.seq, 1);
      const { retry } = await stuck;
      assert.ok(retry === "now" || retry === "later", retry);
      assert.ok(performance.now() - started < 5_000);
      await bed.rows("ROLLBACK");
    }
    await bed.rows("LOCK TABLES todos WRITE");
    const { retry } = await failed(bed.log.insert(changes));
    assert.ok(retry === "now" || retry === "later", retry);
    await bed.rows("UNLOCK TABLES");
    await bed.log.insert(changes);
    const [row] = await bed.rows("SELECT n FROM todos");
    assert.equal(Number(row?.n), 2);
  },
);

databaseTest(
  "mariadb",
  "a server that says nothing is left, and comes back",
  async ({ url, server }) => {
    await using bed = new Bed(url, TODOS, { statementTimeoutMs: 300, connectionTimeoutMs: 500 });
    await bed.log.begin();
    const changes = bed.log.commit({ table: "todos", rowId: "r", cells: { n: 1 } });
    await server.kill("SIGSTOP");
    try {
      const error = await failed(bed.log.insert(changes));
      assert.equal(error.retry, "later");
      const next = await failed(bed.adapter.position());
      assert.equal(next.retry, "later");
    } finally {
      await server.kill("SIGCONT");
    }
    await bed.log.insert(changes);
    assert.deepEqual((await bed.adapter.position())?.seq, 1);
  },
  { own: { durable: false } },
);

databaseTest("mariadb", "a connection that was killed is replaced", async ({ url }) => {
  await using bed = new Bed(url, TODOS);
  await bed.log.begin();
  const rows = await bed.rows(
    "SELECT ID AS id FROM information_schema.PROCESSLIST " +
      "WHERE DB = DATABASE() AND ID <> CONNECTION_ID()",
  );
  assert.ok(rows.length > 0);
  for (const { id } of rows) await bed.rows(`KILL ${id}`);
  const changes = bed.log.commit({ table: "todos", rowId: "r", cells: { n: 1 } });
  // Whether the driver has seen the end already is chance; the next call is sure to have.
  await bed.log.insert(changes).catch(async (error) => {
    assert.equal(error.retry, "later");
    await bed.log.insert(changes);
  });
  assert.equal((await bed.adapter.position())?.seq, 1);
});

databaseTest(
  "mariadb",
  "calls beyond the pool wait, and a closed adapter fails",
  async ({ url }) => {
    await using bed = new Bed(url, TODOS, { poolMax: 2, idleTimeoutMs: 50 });
    await bed.log.begin();
    const all = await Promise.all(Array.from({ length: 30 }, () => bed.adapter.position()));
    assert.equal(all.length, 30);
    const reads = Array.from({ length: 5 }, () => failed(bed.adapter.scanState(undefined, 1)));
    await bed.adapter.close();
    for (const { retry } of await Promise.all(reads)) assert.equal(retry, "later");
    assert.equal((await failed(bed.adapter.position())).retry, "later");
  },
);

databaseTest(
  "mariadb",
  "what is larger than the server takes says what to raise",
  async ({ url }) => {
    await using bed = new Bed(url, TODOS);
    await bed.log.begin();
    const title = "t".repeat(3 * 2 ** 20);
    await bed.log.insert(bed.log.commit({ table: "todos", rowId: "small", cells: { title: "a" } }));
    const error = await failed(
      bed.log.insert(bed.log.commit({ table: "todos", rowId: "big", cells: { title } })),
    );
    assert.equal(error.retry, "stop");
    assert.match(error.message, /raise max_allowed_packet/);
  },
  { own: { durable: false, settings: { "max-allowed-packet": "2M" } } },
);
