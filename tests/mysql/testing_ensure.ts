/**
 * A process that makes tables ready, for tests that start several at once: takes the database's
 * address as its only argument.
 *
 * @module
 */

import { mysqlAdapter } from "@lakesync/adapters/mysql";
import { numbered } from "../conformance/testing_log.ts";
import { BEFORE } from "./testing_schemas.ts";

const [url = ""] = Deno.args;
const adapter = mysqlAdapter({ url });
await adapter.ensureSchema(numbered(BEFORE));
await adapter.close();
