/**
 * What the failures of an object storage mean: that an object is not there, that one is there
 * already, that it may help to try again, or that it will not.
 *
 * @module
 */

import { ObjectStoreError, type ObjectStoreFailure } from "./object_store.ts";

/**
 * What a failed request means: `missing`: there is no such object; `exists`: there is one already;
 * `range`: the object has none of these bytes; `unsent`: the storage was not reached; `conflict`: it
 * has done nothing since another was at it; `doubt`: it may have done it or may do it yet; `refused`:
 * it will not do it; `closed`: the store was closed here before; `abandoned`: it was closed meanwhile.
 */
export type S3Verdict =
  | "missing"
  | "exists"
  | "range"
  | "unsent"
  | "conflict"
  | "doubt"
  | "refused"
  | "closed"
  | "abandoned";

/** Verdicts after which another attempt may succeed: an object that exists may be deleted. */
const AGAIN: readonly S3Verdict[] = ["unsent", "conflict", "doubt", "exists"];

/** A request failed. */
export class S3Failure extends ObjectStoreError {
  /** What it means. */
  readonly verdict: S3Verdict;

  /**
   * Makes the error.
   *
   * @param verdict what it means
   * @param what the request, such as `PutObject`
   * @param code the storage's or the system's code
   * @param options what the system said, since what a storage says may have names of keys in it; and
   * the bucket
   */
  constructor(
    verdict: S3Verdict,
    what: string,
    code: string,
    { cause, bucket }: { readonly cause?: unknown; readonly bucket?: string | undefined } = {},
  ) {
    super(failureOf(verdict), message(verdict, what, code, bucket), { code, cause });
    this.verdict = verdict;
  }

  /** Whether another attempt may succeed. */
  get again(): boolean {
    return AGAIN.includes(this.verdict);
  }
}

function failureOf(verdict: S3Verdict): ObjectStoreFailure {
  if (verdict === "closed" || verdict === "abandoned") return "closed";
  return AGAIN.includes(verdict) ? "unreachable" : "refused";
}

function message(verdict: S3Verdict, what: string, code: string, bucket?: string): string {
  if (code === "NoSuchBucket") {
    return `There is no bucket ${bucket ?? "of that name"} (${what}: ${code}), make it first`;
  }
  if (code === "CredentialsProviderError") {
    return `No keys for the object storage are found (${what}: ${code}), set AWS_ACCESS_KEY_ID ` +
      "and AWS_SECRET_ACCESS_KEY";
  }
  switch (failureOf(verdict)) {
    case "closed":
      return `The object store was closed before ${what} had ended`;
    case "unreachable":
      return `The object storage cannot be reached or fails at ${what} (${code}), try later`;
    default:
      return `The object storage refuses ${what} (${code}), check bucket, credentials and rights`;
  }
}

/** What a request did not come to where it failed with these codes of the system. */
const UNSENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|CERT_\w+|\w+_CERT\w*|ERR_TLS\w*)$/;
/** Codes of 4xx that a later attempt may not get. */
const PASSING = ["RequestTimeout", "RequestTimeTooSkewed", "Throttling", "OperationAborted"];
const CODE = /^[\w.:-]{1,64}$/;

interface Parts {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
  readonly $response?: { readonly statusCode?: unknown };
}

/**
 * Tells what an error of the client means.
 *
 * @param error what a request failed with
 * @param what the request
 * @param bucket the bucket that it was for
 */
export function judge(error: unknown, what: string, bucket?: string): S3Failure {
  if (error instanceof S3Failure) return error;
  const { name, code, Code, $metadata, $response }: Parts = error instanceof Error ? error : {};
  const answered = $metadata?.httpStatusCode ?? $response?.statusCode;
  if (typeof answered !== "number" || answered < 300) {
    const text = clean(code) ?? clean(name) ?? "no answer";
    if (name === "NotCapable") return new S3Failure("refused", what, text, { cause: error });
    const unsent = UNSENT.test(text) || String(name).startsWith("Credentials");
    const cause = typeof code === "string" ? error : undefined;
    return new S3Failure(unsent ? "unsent" : "doubt", what, text, { cause });
  }
  const said = [Code, name, code].map(clean).find((text) => text && text !== "Error");
  return new S3Failure(verdictOf(answered, said ?? ""), what, said ?? String(answered), { bucket });
}

function clean(code: unknown): string | undefined {
  return typeof code === "string" && CODE.test(code) ? code : undefined;
}

function verdictOf(status: number, code: string): S3Verdict {
  if (PASSING.includes(code) || status === 408 || status === 429) return "doubt";
  if (status === 404) {
    return code === "NoSuchBucket" || code === "NoSuchUpload" ? "refused" : "missing";
  }
  if (status === 412) return "exists";
  if (status === 416) return "range";
  if (status === 409 && code === "ConditionalRequestConflict") return "conflict";
  return status >= 500 && status !== 501 ? "doubt" : "refused";
}
