/**
 * One request to a REST catalog and what came back, in terms that say whether it was heard.
 *
 * @module
 */

import { formatJson, parseJson } from "../iceberg/json.ts";

/** A request. */
export interface RestRequest {
  /** How. */
  readonly method: "GET" | "POST";
  /** Where. */
  readonly url: string;
  /** With which headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** With what: JSON, or fields of a form. */
  readonly body?: { readonly json: unknown } | { readonly form: Readonly<Record<string, string>> };
}

/** An answer. */
export interface RestReply {
  /** The status. */
  readonly status: number;
  /** What the JSON says; undefined when it is none. */
  readonly body: unknown;
  /** When to ask again, in milliseconds from now, if it says so. */
  readonly retryAfterMs: number | undefined;
}

/** Whether a value is an object of JSON, or an array. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** There was no answer. */
export class LostAnswer extends Error {
  /** Always `LostAnswer`. */
  override readonly name: string = "LostAnswer";
  /** Whether the request may have been heard. */
  readonly heard: boolean;

  /**
   * Makes the error.
   *
   * @param heard whether the request may have been heard
   * @param cause what happened
   */
  constructor(heard: boolean, cause: unknown) {
    super(heard ? "No answer came" : "Nobody was reached", { cause });
    this.heard = heard;
  }
}

/** What runtimes say when there was no connection that a request could have been sent on. */
const NOT_SENT =
  /ECONNREFUSED|ConnectionRefused|connection refused|ENOTFOUND|EAI_AGAIN|dns error|unable to connect/i;

function textsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return `${code} ${error.message} ${error.cause === undefined ? "" : textsOf(error.cause)}`;
}

function isNotSent(error: unknown): boolean {
  return NOT_SENT.test(textsOf(error));
}

function retryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function jsonOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function payloadOf(body: RestRequest["body"]): { type?: string; text?: string } {
  if (body === undefined) return {};
  if ("json" in body) return { type: "application/json", text: formatJson(body.json) };
  return {
    type: "application/x-www-form-urlencoded",
    text: new URLSearchParams(body.form).toString(),
  };
}

/**
 * Sends a request.
 *
 * @param request the request
 * @param timeoutMs how long to wait for the whole answer, in milliseconds
 * @param signal gives up when aborted
 * @param nowMs the time, in milliseconds since 1970
 * @throws {LostAnswer} when none came
 */
export async function send(
  request: RestRequest,
  timeoutMs: number,
  signal: AbortSignal,
  nowMs: number,
): Promise<RestReply> {
  const { type, text } = payloadOf(request.body);
  const gaveUp = new AbortController();
  const timer = setTimeout(() => gaveUp.abort(new Error(`${timeoutMs} ms went by`)), timeoutMs);
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: {
        accept: "application/json",
        ...type === undefined ? {} : { "content-type": type },
        ...request.headers,
      },
      ...text === undefined ? {} : { body: text },
      // One that is followed may turn a commit into a look at the table, which would be taken for it.
      redirect: "manual",
      signal: AbortSignal.any([signal, gaveUp.signal]),
    });
    return {
      status: response.status,
      body: jsonOf(await response.text()),
      retryAfterMs: retryAfter(response.headers.get("retry-after"), nowMs),
    };
  } catch (cause) {
    throw new LostAnswer(!isNotSent(cause), cause);
  } finally {
    clearTimeout(timer);
  }
}
