/**
 * The SQLite thread.
 *
 * @module
 */

import type { NumberedOrder } from "./_sqlite_messages.ts";
import { SqliteOrders } from "./_sqlite_orders.ts";

const orders = new SqliteOrders();

self.onmessage = ({ data }: MessageEvent<NumberedOrder>) => {
  self.postMessage(orders.follow(data));
};
