/**
 * How a bucket is reached and used.
 *
 * @module
 */

import { isObjectKey, ObjectStoreError } from "./object_store.ts";

/** How to reach and use a bucket. */
export interface S3Options {
  /** The bucket. */
  readonly bucket: string;
  /** What all keys begin with in the bucket, without `/` at its ends; nothing unless given. */
  readonly prefix?: string;
  /**
   * The region. Unless given, `us-east-1` where there is an endpoint, else what AWS's own variables
   * and files say.
   */
  readonly region?: string;
  /** The address of an object storage that is not AWS's, such as `https://storage.example.com`. */
  readonly endpoint?: string;
  /** The name of the key; unless given, credentials come from where AWS's own tools find them. */
  readonly accessKeyId?: string;
  /** The key. */
  readonly secretAccessKey?: string;
  /** What belongs to a key that is for a time only. */
  readonly sessionToken?: string;
  /**
   * Whether the bucket is in the path of addresses and not in the name of the host; true unless
   * given where there is an endpoint.
   */
  readonly pathStyle?: boolean;
  /** Objects of more bytes are put in parts; 16 MiB unless given. */
  readonly multipartBytes?: number;
  /** How large parts are, 5 MiB or more; 8 MiB unless given. */
  readonly partBytes?: number;
  /** How often something is tried in all; 5 unless given. */
  readonly attempts?: number;
  /** How long to wait before the second attempt, in milliseconds, then twice that; 100 unless given. */
  readonly backoffMs?: number;
  /** How long to wait for a connection, in milliseconds; 5,000 unless given. */
  readonly connectTimeoutMs?: number;
  /**
   * How long an answer may take to begin, from the first byte that was sent, and each of its parts
   * then, in milliseconds; 60,000 unless given.
   */
  readonly requestTimeoutMs?: number;
  /** Requests at once; 32 unless given. */
  readonly connections?: number;
}

/** Options with all that has a default. */
export interface S3Settings extends S3Options {
  readonly prefix: string;
  readonly pathStyle: boolean;
  readonly multipartBytes: number;
  readonly partBytes: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly connections: number;
}

const MIB = 1024 * 1024;
/** With the longest key it is what object storages allow. */
const MAX_PREFIX_CHARS = 200;
const BUCKET = /^[a-zA-Z0-9][\w.-]{1,254}$/;

function check(holds: boolean, message: string): void {
  if (!holds) throw new ObjectStoreError("refused", message);
}

/** The least that each number may be. */
const LEAST = {
  multipartBytes: 1,
  partBytes: 5 * MIB,
  attempts: 1,
  backoffMs: 0,
  connectTimeoutMs: 1,
  requestTimeoutMs: 1,
  connections: 1,
} as const;

/**
 * Completes and checks options.
 *
 * @param options the options
 * @throws {ObjectStoreError} `refused` when one is out of bounds
 */
export function completeS3Options(options: S3Options): S3Settings {
  const { bucket, endpoint, prefix = "", accessKeyId, secretAccessKey, sessionToken } = options;
  const settings: S3Settings = {
    ...options,
    prefix,
    pathStyle: options.pathStyle ?? endpoint !== undefined,
    multipartBytes: options.multipartBytes ?? 16 * MIB,
    partBytes: options.partBytes ?? 8 * MIB,
    attempts: options.attempts ?? 5,
    backoffMs: options.backoffMs ?? 100,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 60_000,
    connections: options.connections ?? 32,
  };
  check(BUCKET.test(bucket), "A bucket has 2 to 255 letters, digits, dots and dashes as its name");
  check(
    prefix === "" || isObjectKey(prefix) && prefix.length <= MAX_PREFIX_CHARS,
    `The prefix has the form of a key, of ${MAX_PREFIX_CHARS} characters at most`,
  );
  check(
    endpoint === undefined || isEndpoint(endpoint),
    "The endpoint is an address that begins with http:// or https:// and has no user and query",
  );
  check(
    (accessKeyId === undefined) === (secretAccessKey === undefined) &&
      (sessionToken === undefined || accessKeyId !== undefined),
    "accessKeyId and secretAccessKey go together, and a sessionToken with them",
  );
  for (const [name, least] of Object.entries(LEAST)) {
    const value = settings[name as keyof typeof LEAST];
    check(Number.isSafeInteger(value) && value >= least, `${name} is a number of ${least} or more`);
  }
  return settings;
}

function isEndpoint(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && ["http:", "https:"].includes(url.protocol) &&
    [url.username, url.password, url.search, url.hash].every((part) => part === "");
}
