import { folderSubject } from "./testing_folders.ts";
import { testStore } from "./conformance.ts";
import { openKvStores } from "./kv.ts";

testStore("kv", () => folderSubject((path) => openKvStores(path), false), 15);
