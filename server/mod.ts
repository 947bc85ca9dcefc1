/**
 * The gateway process: start one inside a program, or run this module to start the command
 * `lakesync`.
 *
 * @module
 */

export type { AccessConfig, AccessKind, AccessList } from "./access/model.ts";
export {
  type HmacKeySpec,
  type KeySpec,
  type PublicAlgorithm,
  type PublicKeySpec,
  readKeys,
  type TrustedKey,
} from "./auth/key.ts";
export { type Role, signToken, type SignTokenOptions } from "./auth/token.ts";
export type { TrustOptions } from "./auth/verify.ts";
export {
  defineConfig,
  type GatewayConfig,
  type GatewayConfigs,
  type LakeSyncConfig,
} from "./config_file.ts";
export type {
  AdapterSpec,
  CompositeSpec,
  CustomSpec,
  DestinationContext,
  DestinationSpec,
  DestinationSpecs,
  FanOutSpec,
  FlushSpec,
  LakeBucketSpec,
  LakeFolderSpec,
  LakeObjectCatalogSpec,
  LakeRestCatalogSpec,
  LakeSpec,
  LifecycleSpec,
  MemorySpec,
  MysqlSpec,
  PoolSpec,
  PostgresSpec,
  TlsSpec,
} from "./destinations/spec.ts";
export type { Retention } from "./gateway/environment.ts";
export type { HeaderOptions } from "./http/headers.ts";
export type { ServerLimits } from "./limits.ts";
export type { Network } from "./rates/address.ts";
export { parseTrustedProxies, type TrustedProxies } from "./rates/trusted_proxy.ts";
export { type RunningServer, type ServerOptions, startServer } from "./server.ts";
export type { ShutdownReport } from "./shutdown.ts";
export { type KvOptions, openKvStores } from "./store/kv.ts";
export { memoryStores } from "./store/memory.ts";
export type { SqliteOptions } from "./store/_sqlite_layout.ts";
export { openSqliteStores } from "./store/sqlite.ts";
export * from "./store/records.ts";
export * from "./store/store.ts";
export type { CertificateFiles } from "./tls/certificate_files.ts";
export type { Rejection, RejectionCode } from "@lakesync/core";

if (import.meta.main) {
  const { main } = await import("./main.ts");
  Deno.exit(await main(Deno.args));
}
