/**
 * The client of S3, set up so that it does what it is told: it looks nothing up when all is given,
 * does not try again by itself, and sends what older storages know.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import type { S3Settings } from "./s3_options.ts";

/** The client, which is loaded when a bucket is opened and not before. */
export type Sdk = typeof import("@aws-sdk/client-s3");

const DEFAULT_REGION = "us-east-1";
const AGENT = "lakesync";

/** What the client would look up in variables and files of the user's. */
const NOTHING_LOOKED_UP: S3ClientConfig = {
  defaultsMode: "standard",
  retryMode: "standard",
  authSchemePreference: [],
  sigv4aSigningRegionSet: [],
  disableClockSkewCorrection: false,
  disableS3ExpressSessionAuth: false,
  useArnRegion: false,
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  userAgentAppId: AGENT,
};

function clientConfig(settings: S3Settings): S3ClientConfig {
  const { endpoint, accessKeyId, secretAccessKey, sessionToken } = settings;
  const region = settings.region ?? (endpoint === undefined ? undefined : DEFAULT_REGION);
  const credentials = accessKeyId === undefined || secretAccessKey === undefined
    ? undefined
    : { accessKeyId, secretAccessKey, ...sessionToken !== undefined && { sessionToken } };
  return {
    ...credentials && { credentials, ...region !== undefined && NOTHING_LOOKED_UP },
    ...endpoint !== undefined && { endpoint },
    ...region !== undefined && { region },
    forcePathStyle: settings.pathStyle,
    maxAttempts: 1,
    // Older storages refuse the checksums that are sent otherwise.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // Not every runtime and proxy knows it, and waiting for it costs a round trip.
    expectContinueHeader: false,
    defaultUserAgentProvider: () => Promise.resolve([[AGENT]]),
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      httpAgent: { maxSockets: settings.connections },
      httpsAgent: { maxSockets: settings.connections },
    },
  };
}

/**
 * Makes a client; nothing is sent yet.
 *
 * @param sdk its module
 * @param settings how to reach the bucket
 */
export function openClient(sdk: Sdk, settings: S3Settings): S3Client {
  const client = new sdk.S3Client(clientConfig(settings));
  // Some storages know only this checksum of a request to delete, AWS knows both.
  client.middlewareStack.add(
    (next, { commandName }) => (args) => {
      const { request } = args;
      if (commandName === "DeleteObjectsCommand" && isRequest(request)) {
        request.headers["content-md5"] = createHash("md5").update(request.body).digest("base64");
      }
      return next(args);
    },
    { step: "build", name: "lakesyncContentMd5" },
  );
  return client;
}

interface Request {
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array;
}

function isRequest(request: unknown): request is Request {
  return typeof request === "object" && request !== null && "headers" in request &&
    "body" in request && (typeof request.body === "string" || request.body instanceof Uint8Array);
}
