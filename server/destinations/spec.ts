/**
 * Destinations as a configuration writes them: databases by their address, lakes by where their
 * objects are, and how they are composed.
 *
 * @module
 */

import type { DatabaseAdapter, Destination } from "@lakesync/adapters";
import type { FlushSettings } from "@lakesync/adapters/flush";

/** What an adapter is opened for. */
export interface DestinationContext {
  /** The gateway whose changes it gets. */
  readonly gatewayId: string;
  /** Its name in the configuration. */
  readonly name: string;
}

/** How connections are encrypted. */
export interface TlsSpec {
  /** Certificates in PEM to trust instead of the system's. */
  readonly ca?: string;
  /** The client's certificate in PEM. */
  readonly cert?: string;
  /** The key of the client's certificate in PEM. */
  readonly key?: string;
  /** Whether the server's certificate must be valid for its name; true unless given. */
  readonly verify?: boolean;
}

/** How a pool of connections is kept; the same for every database. */
export interface PoolSpec {
  /** How many connections at most, 2 or more; 10 unless given. */
  readonly poolMax?: number;
  /** A connection that is not used for so long is closed, in milliseconds; 10,000 unless given. */
  readonly idleTimeoutMs?: number;
  /** How long connecting may take, in milliseconds; 30,000 unless given. */
  readonly connectionTimeoutMs?: number;
  /** How long a statement may take, or wait for a lock, in milliseconds; 30,000 unless given. */
  readonly statementTimeoutMs?: number;
  /** A connection is replaced after so long, in milliseconds; an hour unless given. */
  readonly maxLifetimeMs?: number;
  /** Tables that are there already and are to be used; others that are not ours are refused. */
  readonly adopt?: readonly string[];
  /** How long changes are kept in the change table, in days; for ever unless given. */
  readonly retentionDays?: number;
  /** Encrypts connections; as the address says unless given. */
  readonly tls?: boolean | TlsSpec;
}

/** A Postgres database. `{gateway}` in `url` and `schema` stands for the gateway's id. */
export interface PostgresSpec extends PoolSpec {
  /** Which kind. */
  readonly type: "postgres";
  /** `postgres://user:password@host:port/database?sslmode=…`. */
  readonly url: string;
  /** The database schema that holds the tables; `public` unless given. */
  readonly schema?: string;
  /** Whether statements are prepared; true unless given. Some connection poolers need false. */
  readonly prepare?: boolean;
}

/** A MySQL or MariaDB database. `{gateway}` in `url` stands for the gateway's id. */
export interface MysqlSpec extends PoolSpec {
  /** Which kind. */
  readonly type: "mysql";
  /** `mysql://user:password@host:port/database`. */
  readonly url: string;
}

/** A lake's objects in a folder. */
export interface LakeFolderSpec {
  /** Which kind. */
  readonly type: "fs";
  /** The folder; `lake` in the data folder unless given. `{gateway}` stands for the gateway's id. */
  readonly folder?: string;
}

/** A lake's objects in a bucket of an object storage that speaks S3. */
export interface LakeBucketSpec {
  /** Which kind. */
  readonly type: "s3";
  /** The bucket. `{gateway}` stands for the gateway's id. */
  readonly bucket: string;
  /** What all keys begin with, without a `/` at its ends; nothing unless given. */
  readonly prefix?: string;
  /** The region; unless given, `us-east-1` where there is an endpoint, else what AWS's tools know. */
  readonly region?: string;
  /** Where the storage is; AWS unless given. */
  readonly endpoint?: string;
  /** Whether the bucket is in the path of addresses and not in the host; only with an endpoint
   * unless given. */
  readonly pathStyle?: boolean;
  /** Better kept in `AWS_ACCESS_KEY_ID`. */
  readonly accessKeyId?: string;
  /** Better kept in `AWS_SECRET_ACCESS_KEY`. */
  readonly secretAccessKey?: string;
  /** Better kept in `AWS_SESSION_TOKEN`. */
  readonly sessionToken?: string;
}

/** Which metadata of a table is the current one is told by the objects alone. */
export interface LakeObjectCatalogSpec {
  /** Which kind. */
  readonly type: "object";
}

/** Which metadata of a table is the current one is told by an Iceberg REST catalog. */
export interface LakeRestCatalogSpec {
  /** Which kind. */
  readonly type: "rest";
  /** Its address, before `/v1/config`. */
  readonly uri: string;
  /** The warehouse, where the catalog has several. */
  readonly warehouse?: string;
  /** A token that it takes; better kept in `LAKESYNC_LAKE_TOKEN`. */
  readonly token?: string;
  /** How tokens are had; better kept in `LAKESYNC_LAKE_CREDENTIAL`, as `id:secret`. */
  readonly oauth2?: {
    /** Who asks. */
    readonly clientId: string;
    /** The secret. */
    readonly clientSecret: string;
    /** Where tokens are given out; the catalog's own `/v1/oauth/tokens` unless given. */
    readonly tokenUri?: string;
    /** What the token is to be for; `catalog` unless given. */
    readonly scope?: string;
  };
}

/** A lake: Iceberg tables as objects. */
export interface LakeSpec {
  /** Which kind. */
  readonly type: "lake";
  /** Where the objects are; a folder in the data folder unless given. */
  readonly store?: LakeFolderSpec | LakeBucketSpec;
  /** What knows the tables; the objects alone unless given. */
  readonly catalog?: LakeObjectCatalogSpec | LakeRestCatalogSpec;
  /** What the tables are under in the catalog; `{gateway}` unless given, which is its id. */
  readonly namespace?: string;
  /** How long changes wait to be merged into the tables of rows, in milliseconds. */
  readonly mergeEveryMs?: number;
  /** How long the tables can be read as they were, in days; 30 unless given. */
  readonly retentionDays?: number;
  /** Whether first pulls read rows of large buckets here and not in the gateway; false unless given. */
  readonly checkpoints?: boolean;
  /** `json` writes changes as gzipped JSON and no tables; `iceberg` unless given. */
  readonly flushFormat?: "iceberg" | "json";
}

/** A database in memory, for trying out. */
export interface MemorySpec {
  /** Which kind. */
  readonly type: "memory";
}

/** Tables that go to different adapters. */
export interface CompositeSpec {
  /** Which kind. */
  readonly type: "composite";
  /** Where tables go, by their names. */
  readonly routes: Readonly<Record<string, AdapterSpec>>;
  /** Where all others go. */
  readonly default: AdapterSpec;
}

/** One adapter that counts and others that follow it. */
export interface FanOutSpec {
  /** Which kind. */
  readonly type: "fanout";
  /** The one that counts. */
  readonly primary: AdapterSpec;
  /** Those that follow. */
  readonly secondaries: readonly AdapterSpec[];
}

/** What is young goes to one adapter, what is old to another. */
export interface LifecycleSpec {
  /** Which kind. */
  readonly type: "lifecycle";
  /** Holds what is young. */
  readonly hot: AdapterSpec;
  /** Holds everything. */
  readonly cold: AdapterSpec;
  /** For how many days something is young. */
  readonly hotDays: number;
  /** Whether rows that have not changed for so long leave `hot` too, not only changes. */
  readonly rows?: boolean;
}

/** An adapter that is made by code. */
export interface CustomSpec {
  /** Which kind. */
  readonly type: "custom";
  /** Makes it. */
  readonly open: (context: DestinationContext) => DatabaseAdapter;
}

/** A destination that can be composed. */
export type AdapterSpec =
  | PostgresSpec
  | MysqlSpec
  | LakeSpec
  | MemorySpec
  | CompositeSpec
  | FanOutSpec
  | LifecycleSpec
  | CustomSpec;

/** How changes are flushed to a destination. */
export interface FlushSpec
  extends Partial<Pick<FlushSettings, "everyMs" | "maxBytes" | "maxChanges" | "maxRetryMs">> {
  /** Past this lag, in milliseconds, the server is not ready; no limit unless given. */
  readonly maxLagMs?: number;
}

/** A destination of a gateway. */
export type DestinationSpec = AdapterSpec & {
  /** How changes are flushed to it. */
  readonly flush?: FlushSpec;
};

/** Destinations by name. */
export type DestinationSpecs = Readonly<Record<string, DestinationSpec>>;

/** Makes an adapter of what the configuration says. */
export type OpenAdapter = (spec: AdapterSpec, context: DestinationContext) => Destination;
