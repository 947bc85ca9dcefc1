export * from "@lakesync/core";
