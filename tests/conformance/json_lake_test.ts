import { memoryObjects } from "@lakesync/adapters";
import { adapterConformance } from "./suite.ts";
import { ReadJsonLake } from "./testing_json_lake.ts";

adapterConformance("lake of JSON", () => {
  const store = memoryObjects();
  let adapter: ReadJsonLake = new ReadJsonLake(store);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = new ReadJsonLake(store);
    },
    close: () => adapter.close(),
  });
}, { runs: 0 });
