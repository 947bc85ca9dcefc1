import { folderSubject } from "./_testing_folders.ts";
import { testStore } from "./conformance.ts";
import { openSqliteStores } from "./sqlite.ts";

testStore("sqlite", () => folderSubject((path) => openSqliteStores(path)), 30);
