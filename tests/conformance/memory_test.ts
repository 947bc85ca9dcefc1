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
