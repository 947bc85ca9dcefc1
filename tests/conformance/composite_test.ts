import {
  compositeAdapter,
  type DatabaseAdapter,
  fanOutAdapter,
  lifecycleAdapter,
  memoryAdapter,
  MemoryData,
} from "@lakesync/adapters";
import { adapterConformance, type Subject } from "./suite.ts";

/** Opens adapters over the same data again and again. */
function subject(open: (data: (name: string) => MemoryData) => DatabaseAdapter): Promise<Subject> {
  const all = new Map<string, MemoryData>();
  const data = (name: string) => {
    const found = all.get(name) ?? new MemoryData();
    all.set(name, found);
    return found;
  };
  let adapter = open(data);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = open(data);
    },
    close: () => adapter.close(),
  });
}

adapterConformance("composite of two", () =>
  subject((data) =>
    compositeAdapter({
      routes: { lists: memoryAdapter("lists", data("lists")) },
      default: memoryAdapter("others", data("others")),
    })
  ));

adapterConformance("composite of composites", () =>
  subject((data) =>
    compositeAdapter({
      routes: {
        todos: compositeAdapter({
          routes: { todos: memoryAdapter("a", data("a")), lists: memoryAdapter("b", data("b")) },
          default: memoryAdapter("c", data("c")),
        }),
        parents: memoryAdapter("d", data("d")),
      },
      default: memoryAdapter("e", data("e")),
    })
  ));

adapterConformance("fan-out of composites", () =>
  subject((data) => {
    const two = (name: string) =>
      compositeAdapter({
        routes: { lists: memoryAdapter("lists", data(`${name} lists`)) },
        default: memoryAdapter("others", data(`${name} others`)),
      });
    return fanOutAdapter({ primary: two("primary"), secondaries: [two("secondary")] });
  }), { runs: 30 });

adapterConformance("lifecycle", () =>
  subject((data) =>
    lifecycleAdapter({
      hot: memoryAdapter("hot", data("hot")),
      cold: memoryAdapter("cold", data("cold")),
      hotMs: 1e13,
      rows: true,
      settings: { everyMs: 0, retryMs: 1 },
    })
  ), { runs: 0 });
