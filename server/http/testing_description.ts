/**
 * Holds answers of a server to its OpenAPI description: status, headers and JSON bodies.
 *
 * @module
 */

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describeApi, type OperationObject } from "./openapi.ts";
import type { Answer, Header, JsonSchema, MediaType, Reference } from "./openapi_model.ts";

const DOCUMENT = describeApi();

/** Headers of transport and content, which the description leaves to HTTP. */
const OF_HTTP: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "transfer-encoding",
  "vary",
]);

/** Headers of CORS, which the description leaves to Fetch. */
const OF_CORS = /^access-control-/;

const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema({ ...DOCUMENT, $id: "api" });

const compiled = new Map<string, ValidateFunction>();

function problemsOf(schema: JsonSchema, value: unknown): string {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components');
  const check = compiled.get(text) ?? ajv.compile(JSON.parse(text));
  compiled.set(text, check);
  return check(value) ? "" : ajv.errorsText(check.errors);
}

function isOperation(value: unknown): value is OperationObject {
  return typeof value === "object" && value !== null && "operationId" in value;
}

/** Which path of the description an address is of. */
function templateOf(path: string): string | undefined {
  const parts = path.split("/");
  const fits = (template: string) => {
    const named = template.split("/");
    return named.length === parts.length &&
      named.every((part, i) => part.startsWith("{") ? parts[i] !== "" : part === parts[i]);
  };
  return Object.keys(DOCUMENT.paths).find(fits);
}

function shared(name: string): Answer {
  return DOCUMENT.components["responses"]?.[name] as Answer;
}

/** Refusals that come before the route of a request is known. */
const EARLY: readonly number[] = [400, 429, 503, 504];

/** What the description has for an answer. */
function describedAnswer(method: string, path: string, status: number): Answer | undefined {
  const template = templateOf(path);
  const item = template === undefined ? undefined : DOCUMENT.paths[template];
  const operation = item?.[method === "HEAD" ? "get" : method.toLowerCase()];
  if (isOperation(operation)) return operation.responses[String(status)];
  if (method === "OPTIONS" && status === 204) return shared("Preflight");
  const isCatalog = path === "/v1/iceberg" || path.startsWith("/v1/iceberg/");
  if (status === 405) return shared(isCatalog ? "IcebergMethodNotAllowed" : "MethodNotAllowed");
  if (status === 308) return shared("Moved");
  if (EARLY.includes(status) || isCatalog && status === 404) {
    const like = isCatalog ? "/v1/iceberg/v1/config" : "/v1/admin/schema/{gatewayId}";
    const known = DOCUMENT.paths[like]?.["get"];
    return isOperation(known) ? known.responses[String(status)] : undefined;
  }
  return status === 404 && item === undefined ? shared("NotFound") : undefined;
}

function resolve(header: Header | Reference): Header {
  if (!("$ref" in header)) return header;
  const name = header.$ref.slice("#/components/headers/".length);
  return DOCUMENT.components["headers"]?.[name] as Header;
}

function headerProblems(headers: Headers, described: Answer["headers"]): string[] {
  const problems: string[] = [];
  for (const [name, reference] of Object.entries(described)) {
    const { required = false, schema } = resolve(reference);
    const value = headers.get(name);
    if (value === null) {
      if (required) problems.push(`there is no ${name}`);
      continue;
    }
    const problem = problemsOf(schema, value);
    if (problem !== "") problems.push(`${name} is ${value}: ${problem}`);
  }
  const known = new Set(Object.keys(described).map((name) => name.toLowerCase()));
  for (const name of headers.keys()) {
    if (OF_HTTP.has(name) || OF_CORS.test(name) || known.has(name)) continue;
    problems.push(`${name} is not described`);
  }
  return problems;
}

async function bodyProblems(
  method: string,
  response: Response,
  content: Readonly<Record<string, MediaType>> | undefined,
): Promise<string[]> {
  if (method === "HEAD") return [];
  if (content === undefined) {
    const { length } = await response.clone().bytes();
    return length === 0 ? [] : ["there is a body"];
  }
  const type = response.headers.get("Content-Type")?.split(";")[0] ?? "";
  const described = content[type];
  if (described === undefined) return [`${type || "no type"} is not described`];
  if (described.schema === undefined) return [];
  const problem = problemsOf(described.schema, await response.clone().json());
  return problem === "" ? [] : [problem];
}

/**
 * Holds an answer to the description.
 *
 * @param method the method of the request
 * @param address the address of the request
 * @param response the answer, whose body can still be read
 * @returns what the description does not say or says otherwise; nothing when they agree
 */
export async function descriptionProblems(
  method: string,
  address: string,
  response: Response,
): Promise<readonly string[]> {
  const { status, headers } = response;
  const { pathname } = new URL(address);
  const described = describedAnswer(method, pathname, status);
  if (described === undefined) {
    return [`${method} ${pathname}: the status ${status} is not described`];
  }
  const problems = [
    ...headerProblems(headers, described.headers),
    ...await bodyProblems(method, response, described.content),
  ];
  return problems.map((problem) => `${method} ${pathname} ${status}: ${problem}`);
}
