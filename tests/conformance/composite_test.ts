import {
  compositeAdapter,
  type DatabaseAdapter,
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
