import { forgetsChildrenFirst } from "./adapter_problems.ts";
import { memoryAdapter, MemoryData } from "@lakesync/adapters";
import { adapterConformance } from "./suite.ts";

adapterConformance("memory", () => {
  const data = new MemoryData();
  let adapter = memoryAdapter("memory", data);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = memoryAdapter("memory", data);
    },
    close: () => adapter.close(),
  });
});

Deno.test("memoryAdapter forgets a row that others reference only after those", async () => {
  const adapter = memoryAdapter();
  await forgetsChildrenFirst(adapter);
  await adapter.close();
});
