/**
 * The OpenAPI description as the fuzzer reads it: from the bytes a server answers, not from its
 * code.
 *
 * @module
 */

import { Ajv2020 } from "ajv/dist/2020.js";

/** JSON as it is read. */
// deno-lint-ignore no-explicit-any -- a document of many shapes, checked by server/http/openapi_test.ts
export type Json = any;

/** One operation. */
export interface ApiOperation {
  /** Its name. */
  readonly id: string;
  /** The method, in capitals. */
  readonly method: string;
  /** The path with `{name}` for what varies. */
  readonly path: string;
  /** Who may call it. */
  readonly access: "none" | "client" | "admin";
  /** Its parameters, the path's included. */
  readonly parameters: readonly { name: string; in: string; required?: boolean; schema: Json }[];
  /** Bodies by content type. */
  readonly body: Readonly<Record<string, { readonly schema?: Json }>> | undefined;
  /** Answers by status. */
  readonly responses: Readonly<Record<string, ApiResponse>>;
}

/** One answer. */
export interface ApiResponse {
  /** Headers by name; references are followed. */
  readonly headers: Readonly<
    Record<string, { readonly required?: boolean; readonly schema: Json }>
  >;
  /** Bodies by content type. */
  readonly content: Readonly<Record<string, { readonly schema?: Json }>>;
}

/** The description. */
export class Api {
  /** Its operations. */
  readonly operations: readonly ApiOperation[];
  readonly #document: Json;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });

  /** @param document the description as JSON */
  constructor(document: Json) {
    this.#document = document;
    this.#ajv.addSchema({ ...document, $id: "api" });
    this.operations = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
      Object.entries<Json>(item).filter(([, operation]) => operation.operationId !== undefined)
        .map(([method, operation]) => ({
          id: operation.operationId,
          method: method.toUpperCase(),
          path,
          access: operation.security[0]?.bearer[0] ?? "none",
          parameters: [...item.parameters ?? [], ...operation.parameters],
          body: operation.requestBody?.content,
          responses: Object.fromEntries(
            Object.entries<Json>(operation.responses)
              .map(([status, response]) => [status, this.#response(response)]),
          ),
        }))
    );
  }

  /** Follows a reference. */
  follow(schema: Json): Json {
    if (typeof schema?.$ref !== "string") return schema;
    const path: string[] = schema.$ref.slice(2).split("/");
    return this.follow(path.reduce((value, key) => value[key], this.#document));
  }

  /**
   * Says what is wrong with a value.
   *
   * @param schema a schema of the description
   * @returns undefined when nothing is
   */
  misfit(schema: Json, value: unknown): string | undefined {
    const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components');
    const check = this.#checks.get(text) ?? this.#ajv.compile(JSON.parse(text));
    this.#checks.set(text, check);
    return check(value) ? undefined : this.#ajv.errorsText(check.errors);
  }
  readonly #checks = new Map<string, ReturnType<Ajv2020["compile"]>>();

  /** An answer that several operations share. */
  shared(name: string): ApiResponse {
    return this.#response(this.#document.components.responses[name]);
  }

  #response(response: Json): ApiResponse {
    return {
      headers: Object.fromEntries(
        Object.entries<Json>(response.headers).map(([name, header]) => [name, this.follow(header)]),
      ),
      content: response.content ?? {},
    };
  }
}
