/**
 * What each error code means and what to do about it: the OpenAPI description and the operations
 * page are made of it.
 *
 * @module
 */

import type { ErrorCode, RejectionCode, StopCode } from "@lakesync/core";

/** What a code means. */
export interface ErrorHelp {
  /** When a request is refused with it. */
  readonly meaning: string;
  /** What whoever operates the gateway or writes the app does. */
  readonly remedy: string;
}

/** The codes that refuse a request. */
export const ERROR_HELP: Readonly<Record<ErrorCode, ErrorHelp>> = {
  VALIDATION_ERROR: {
    meaning: "the request has not the shape it must have",
    remedy: "Mend the request; the message names the field. Sending it again does not help",
  },
  AUTH_ERROR: {
    meaning: "there is no token, or none that is good here",
    remedy: "Get a fresh token. Many of them: look at keys, issuer, audience and clocks " +
      "(`lakesync keys list`), and at `token.failures` in the audit log",
  },
  FORBIDDEN: {
    meaning: "the token is not for this gateway or role, its user or device is kept out, " +
      "or the gateway has no rules yet",
    remedy: "Give a token for it, put sync rules, or take the name from the list",
  },
  CLIENT_NOT_YOURS: {
    meaning: "the clientId belongs to another user",
    remedy: "The app gives each user of a device a clientId of their own",
  },
  NOT_FOUND: {
    meaning: "there is no such gateway, or not what is asked of it",
    remedy: "PUT a schema, which makes the gateway; check the id",
  },
  METHOD_NOT_ALLOWED: {
    meaning: "the path has not this method",
    remedy: "`Allow` names those it has",
  },
  MUTATION_GAP: {
    meaning: "a mutationId is beyond the next; lastMutationId says which was the last",
    remedy: "Clients go on from there by themselves. For long: the gateway was restored, or two " +
      "devices share a clientId",
  },
  CLIENT_FORKED: {
    meaning: "two devices run copies of one database; mutationId is the first that differs",
    remedy: "Clients go on under another name by themselves",
  },
  SCHEMA_CONFLICT: {
    meaning: "the schema version is not served, or is there with other content",
    remedy: "Update the app, or give changed content a new version",
  },
  RESYNC_REQUIRED: {
    meaning: "the cursor is of another life of the data or too old, pull without one",
    remedy: "Clients do so by themselves. Many at once: the data folder is new or restored",
  },
  PAYLOAD_TOO_LARGE: {
    meaning: "the body or what it holds is too large",
    remedy: "Send less at once; a large transaction comes in parts",
  },
  UNSUPPORTED_MEDIA_TYPE: {
    meaning: "the Content-Type or Content-Encoding is none that is read",
    remedy: "Send JSON or protobuf; `Accept-Encoding` names the encodings",
  },
  SCHEMA_ERROR: {
    meaning: "the schema is invalid or would lose data, or there is none yet",
    remedy: "Mend the schema, or put it with `?force=true` where the loss is meant",
  },
  IDEMPOTENCY_MISMATCH: {
    meaning: "the Idempotency-Key was used with another body",
    remedy: "A new request gets a new key",
  },
  RATE_LIMITED: {
    meaning: "too much of it, wait",
    remedy: "Wait as `Retry-After` says. If it hits those it should not: raise the rates",
  },
  INTERNAL_ERROR: {
    meaning: "the gateway failed; its log knows more",
    remedy: "Search the log for the requestId",
  },
  ADAPTER_ERROR: {
    meaning: "what the gateway depends on failed",
    remedy: "Look at the destinations (`GET /v1/admin/destinations`) and at the JWKS address",
  },
  BACKPRESSURE: {
    meaning: "the gateway has too much to do, wait",
    remedy: "Clients wait by themselves. For long: the disk is full, memory is short, or a " +
      "destination is behind; the message and the log say which",
  },
  DRAINING: {
    meaning: "the gateway stops, try again",
    remedy: "Clients come back by themselves, elsewhere or later",
  },
  TIMEOUT: {
    meaning: "it took too long",
    remedy: "It may be sent again: a push has no second effect. Often: the disk is slow or the " +
      "process has too little of a core",
  },
};

/** The codes of one transaction of a push. */
export const TRANSACTION_HELP: Readonly<Record<RejectionCode | StopCode, ErrorHelp>> = {
  SCHEMA_ERROR: {
    meaning: "it names a table or column that the schema lacks",
    remedy: "Put the schema that the app has",
  },
  VALIDATION_ERROR: {
    meaning: "a value does not fit its column",
    remedy: "Mend the app",
  },
  CHECKSUM_MISMATCH: {
    meaning: "a deltaId is not that of its delta",
    remedy: "Something between app and gateway changes bodies, or a client computes it wrongly",
  },
  FORBIDDEN_WRITE: {
    meaning: "no write rule allows it",
    remedy: "`lakesync rules explain` tells why",
  },
  NO_SUCH_ROW: {
    meaning: "it updates a row that is not there",
    remedy: "The app inserts before it updates",
  },
  STALE_WRITE: {
    meaning: "it was written before the time for which deletions are remembered",
    remedy: "The device was away too long; the app shows the user what was not taken",
  },
  PAYLOAD_TOO_LARGE: {
    meaning: "it has too many deltas or too large values",
    remedy: "Write less in one transaction",
  },
  CLOCK_DRIFT: {
    meaning: "it is stamped ahead of the gateway's clock; the push stops there",
    remedy: "Clients stamp anew by themselves. For all clients at once: mend the gateway's clock",
  },
  SCHEMA_AHEAD: {
    meaning: "the client's schema is newer than the gateway's; the push stops there",
    remedy: "Put the newer schema",
  },
};
